// Shows one of our OpenAPI documents. What is tried from here goes to this host alone, and a
// credential that is typed in is not kept beyond the page.
const place = document.getElementById("reference");
window.SwaggerUIBundle({
    url: place.dataset.document,
    dom_id: "#reference",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    requestInterceptor: (request) => ({ ...request, credentials: "omit" }),
});
