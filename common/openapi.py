"""How the OpenAPI document names what our views take and give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.openapi import AutoSchema

if TYPE_CHECKING:
    from rest_framework.serializers import BaseSerializer


class Schema(AutoSchema):
    """A serializer that is nested in its view is named with it.

    `CreditInput`, not one of many `Input`s, of which the document would keep the last for all.
    """

    def get_serializer_name(self, serializer: BaseSerializer[Any], direction: Any) -> str:
        """Return the qualified name without its dots; a view's own ending says nothing."""
        view, _, nested = serializer.__class__.__qualname__.partition(".")
        return view.removesuffix("View" if nested else "") + nested.replace(".", "")

    def map_parsers(self) -> list[str]:
        """Say that bodies are JSON; that we read it under any other name, too, is a kindness."""
        return ["application/json"]
