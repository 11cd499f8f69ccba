// Shows how the pairing of this machine stands, and asks for what is pressed.
const EVERY_MS = 1500;
const one = (name) => document.querySelectorAll(`[data-${name}]`);

function show(now) {
    for (const section of one("phase")) section.hidden = section.dataset.phase !== now.phase;
    for (const name of ["platform", "where", "code", "words", "account", "why"]) {
        for (const place of one(name)) place.textContent = now[name] ?? "";
    }
    for (const place of one("of")) place.hidden = !now.account;
    if (now.message !== undefined) for (const place of one("message")) place.textContent = now.message;
}

async function ask(path, options) {
    const answer = await fetch(`/comfyui-credits/${path}`, options);
    return answer.json();
}

async function look() {
    try {
        show(await ask("state"));
    } catch {
        for (const place of one("message")) place.textContent = "This ComfyUI does not answer.";
    }
}

document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    button.disabled = true;
    try {
        const headers = { "Content-Type": "application/json" };
        const now = await ask(button.dataset.do, { method: "POST", headers, body: "{}" });
        show({ message: "", ...now });
    } finally {
        button.disabled = false;
    }
});

await look();
setInterval(look, EVERY_MS);
