"""The two ways through a long list: by the number of a page, or on from where the last one ended.

By number there is the exact total; by cursor a page costs the same at any depth, and nothing is
shown twice or left out by what comes meanwhile.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final
from uuid import UUID

from django.utils.translation import gettext
from rest_framework import serializers

from common.errors import InvalidRequest

MOST: Final = 200
_MARK = re.compile(r"[0-9a-zA-Z:.+-]{1,80}")


class PageInput(serializers.Serializer[object]):
    """Query parameters of a list: `page` or `cursor`; without either the first page, by cursor."""

    limit = serializers.IntegerField(min_value=1, max_value=MOST, default=50)
    page = serializers.IntegerField(
        min_value=1, max_value=10**9, required=False, help_text="By number, with the exact total"
    )
    cursor = serializers.CharField(
        max_length=120, required=False, help_text="The `next` of the answer before"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse both at once."""
        if "page" in attrs and "cursor" in attrs:
            raise serializers.ValidationError(gettext("Send page or cursor, not both."))
        return attrs


class PageOutput(serializers.Serializer[object]):
    """What every page of a list says beside its rows."""

    next = serializers.CharField(
        allow_null=True, help_text="The cursor of the page after; null: this is the last"
    )
    total = serializers.IntegerField(
        allow_null=True, help_text="On all pages; null where it was asked by cursor"
    )
    page = serializers.IntegerField(allow_null=True)
    pages = serializers.IntegerField(allow_null=True)


def numbered(name: str, rows: list[Any], *, total: int, page: int, limit: int) -> dict[str, Any]:
    """Return the answer of a page by number."""
    return {name: rows, "next": None, "total": total, "page": page, "pages": -(-total // limit)}


def following(name: str, rows: list[Any], after: object | None) -> dict[str, Any]:
    """Return the answer of a page by cursor; the next one begins after that mark."""
    mark = None if after is None else sealed(f"{after}")
    return {name: rows, "next": mark, "total": None, "page": None, "pages": None}


def sealed(mark: str) -> str:
    """Return a cursor, whose form is ours to change."""
    return base64.urlsafe_b64encode(mark.encode()).decode().rstrip("=")


def mark(cursor: str | None) -> str | None:
    """Return what a cursor was made of; raise InvalidRequest for what is none of ours."""
    if cursor is None:
        return None
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text = found.decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not _MARK.fullmatch(text):
        raise InvalidRequest(gettext("This cursor is none of ours. Begin again without it."))
    return text


def identity(cursor: str | None) -> UUID | None:
    """Return the id that a cursor was made of."""
    found = mark(cursor)
    try:
        return UUID(found) if found is not None else None
    except ValueError:
        raise InvalidRequest(
            gettext("This cursor is of another list. Begin again without it.")
        ) from None


def number(cursor: str | None) -> int | None:
    """Return the number that a cursor was made of."""
    found = mark(cursor)
    if found is None:
        return None
    if not (found.isdecimal() and len(found) <= 18):
        raise InvalidRequest(gettext("This cursor is of another list. Begin again without it."))
    return int(found)
