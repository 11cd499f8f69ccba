// A run while it works: each part that comes takes the place of the one before. Without script the page is loaded again.
const place = document.querySelector("[data-events]");

// The next picture is there before the last one goes: nothing flickers.
async function withItsPicture(part) {
    const picture = part.querySelector("img");
    if (!picture) return;
    const loaded = new Image();
    loaded.alt = picture.alt;
    loaded.src = picture.getAttribute("src");
    picture.replaceWith(loaded);
    await loaded.decode().catch(() => loaded.remove());
}

if (place) {
    const source = new EventSource(place.dataset.events);
    let newest = 0;
    source.addEventListener("part", async (event) => {
        const number = ++newest;
        const part = new DOMParser().parseFromString(JSON.parse(event.data), "text/html").body;
        const now = place.querySelector("[data-state]")?.dataset.state;
        await withItsPicture(part);
        if (number !== newest) return;
        place.replaceChildren(...part.childNodes);
        const next = place.querySelector("[data-state]");
        if (next && next.dataset.state !== now) document.getElementById("say").textContent = next.textContent.trim();
    });
    source.addEventListener("end", () => {
        source.close();
        location.reload();
    });
    source.addEventListener("open", () => document.querySelector("[data-by-hand]")?.remove(), { once: true });
}
