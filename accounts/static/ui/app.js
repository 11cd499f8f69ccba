// What the pages need of script: theme, copying, what a passkey's failure means. Without it everything still reads and submits.
const root = document.documentElement;
const say = document.getElementById("say");
const wanted = localStorage.getItem("theme");
if (wanted) root.dataset.theme = wanted;

// Times are shown where one is, from the next page on; the server has no other way to know.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes(`zone=${zone}`)) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-theme-switch], [data-print]");
    if (!button) return;
    if (button.matches("[data-print]")) {
        print();
    } else if (button.matches("[data-theme-switch]")) {
        const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
        root.dataset.theme = dark ? "light" : "dark";
        localStorage.setItem("theme", root.dataset.theme);
    } else {
        await navigator.clipboard.writeText(button.parentElement.querySelector("code, pre").textContent.trim());
        const use = button.querySelector("use");
        use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#check"));
        say.textContent = say.dataset.copied;
    }
});

// A file that is dropped on a field for its text is that text; a browser would leave the page for it.
document.addEventListener("dragover", (event) => event.target.matches?.("[data-drop]") && event.preventDefault());
document.addEventListener("drop", async (event) => {
    const file = event.target.matches?.("[data-drop]") && event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    event.target.value = await file.text();
});

document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const { exception } = event.detail;
    const refused = ["NotAllowedError", "AbortError"].includes(exception?.name);
    const place = document.querySelector("[data-passkey-problem]");
    const sentence = refused ? say.dataset.passkeyUnused : say.dataset.passkeyUnusable;
    say.textContent = sentence;
    if (place) {
        place.hidden = false;
        place.querySelector("p").textContent = sentence;
    }
});
