// A list that narrows while one types is htmx's work. An answer that is another page (a refusal, signing in) is gone to, not cut up.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { xhr, requestConfig, pathInfo } = detail;
    if (!requestConfig.elt.matches("form.filters")) return; // What is looked for again by itself is asked for a little later.
    const isElsewhere = new URL(xhr.responseURL).pathname !== location.pathname;
    if (xhr.status < 400 && !isElsewhere) return;
    detail.shouldSwap = false;
    location.assign(pathInfo.finalRequestPath);
});
