// A run while it works: each part that comes takes the place of the one before. Without script the page is loaded again.
const place = document.querySelector("[data-events]");

async function show(text) {
    const part = document.adoptNode(new DOMParser().parseFromString(JSON.parse(text), "text/html").body);
    // The next picture is there before the last one goes: nothing flickers. One that is gone meanwhile is left out.
    const picture = part.querySelector("img");
    await picture?.decode().catch(() => picture.closest("figure").remove());
    const before = place.querySelector("[data-state]")?.dataset.state;
    place.replaceChildren(...part.childNodes);
    const now = place.querySelector("[data-state]");
    if (now && now.dataset.state !== before) document.getElementById("say").textContent = now.textContent.trim();
}

if (place) {
    const source = new EventSource(place.dataset.events);
    let next = null;
    let isShowing = false;
    // What comes while a picture loads is passed over, but for the last: a slow browser shows fewer, and each.
    source.addEventListener("part", async (event) => {
        next = event.data;
        if (isShowing) return;
        isShowing = true;
        while (next !== null) {
            const text = next;
            next = null;
            await show(text);
        }
        isShowing = false;
    });
    source.addEventListener("end", () => {
        source.close();
        location.reload();
    });
    source.addEventListener("open", () => document.querySelector("[data-by-hand]")?.remove(), { once: true });
}
