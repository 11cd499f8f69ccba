// The page of connecting looks again for the first call, until it was seen. Without script there is a link for it.
const SECONDS = 3;

function place() {
    return document.querySelector("[data-again]");
}

async function again() {
    const before = place();
    const answer = await fetch(before.dataset.again, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok) return; // It is asked for again a little later.
    const part = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-again]");
    if (part && part.dataset.state !== before.dataset.state) before.replaceWith(document.adoptNode(part));
    place().querySelector("[data-by-hand]")?.remove();
}

if (place()) {
    place().querySelector("[data-by-hand]")?.remove();
    const timer = setInterval(async () => {
        if (document.hidden) return;
        await again();
        if (place().dataset.state === "seen") clearInterval(timer);
    }, SECONDS * 1000);
}
