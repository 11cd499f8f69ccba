"""What can be asked here by program: both documents, in a viewer that is served from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.shortcuts import render
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

DOCUMENTS = {"": "/openapi.json", "proxy": "/openapi-proxy.json"}


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show one of the two; it is for everybody, as the documents are."""
    of = "proxy" if request.GET.get("of") == "proxy" else ""
    shown = {"document": DOCUMENTS[of], "is_proxy": bool(of)}
    return render(request, "dashboard/reference.html", shown)
