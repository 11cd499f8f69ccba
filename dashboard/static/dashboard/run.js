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

async function show(text) {
    const part = new DOMParser().parseFromString(JSON.parse(text), "text/html").body;
    const before = place.querySelector("[data-state]")?.dataset.state;
    await withItsPicture(part);
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
