// A run while it works: each part that comes takes the place of the one before. Without script the page is loaded again.
const place = document.querySelector("[data-events]");
if (place) {
    const source = new EventSource(place.dataset.events);
    source.addEventListener("part", (event) => {
        const part = new DOMParser().parseFromString(JSON.parse(event.data), "text/html");
        const now = place.querySelector("[data-state]")?.dataset.state;
        place.replaceChildren(...part.body.childNodes);
        const next = place.querySelector("[data-state]");
        if (next && next.dataset.state !== now) document.getElementById("say").textContent = next.textContent.trim();
    });
    source.addEventListener("end", () => {
        source.close();
        location.reload();
    });
    source.addEventListener("open", () => document.querySelector("[data-by-hand]")?.remove(), { once: true });
}
