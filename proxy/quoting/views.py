"""The price list, and what a workflow would cost (docs/prices.md)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.http import HttpResponse, HttpResponseNotModified
from django.utils import translation
from django.utils.http import parse_etags
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

from common import ratelimits
from common.addresses import household
from common.drf import may, workspace_id
from common.errors import AccessDisabled, InvalidRequest
from common.money import CREDITS_PER_USD
from credits.models import Account
from prices import drafts
from proxy.pricing.said import said
from proxy.quoting import listing, refusals, requests, workflows
from proxy.quoting.estimates import estimate
from proxy.quoting.workflows import Quoted

if TYPE_CHECKING:
    from rest_framework.request import Request

    from prices.terms import Book
    from proxy.quoting.estimates import Estimate

PUBLIC_SECONDS = 60
"""So long a copy of the price list may be shown without asking again."""
WORKED_OUT_SECONDS = 3600
"""So long a list is given that was worked out before: vendors withdraw models by the day."""
_working = threading.Lock()
_listed: dict[tuple[int, int, str], tuple[bytes, str]] = {}


def amounts(found: Estimate) -> dict[str, Any]:
    """Return a range as the wire has it: micros as texts, dollars, credits."""
    return {
        name: refusals.amount(micros)
        for name, micros in (
            ("least", found.least), ("likely", found.likely), ("most", found.most),
        )
    }  # fmt: skip


# --- The price list ---------------------------------------------------------------------------


class PricesView(APIView):
    """The price list of everything that can be called here, for anybody."""

    authentication_classes = ()
    permission_classes = ()

    class Output(serializers.Serializer[object]):
        """The list."""

        class Operation(serializers.Serializer[object]):
            """One operation, and what it comes to for usual parameters."""

            route = serializers.CharField()
            vendor = serializers.CharField()
            display = serializers.CharField()
            title = serializers.CharField()
            nodes = serializers.ListField(child=serializers.CharField())
            unit = serializers.CharField()
            rule = serializers.CharField()
            term = serializers.CharField()
            """What the operator asks beyond or below the published price; empty: that price."""
            price_version = serializers.CharField()
            prices = serializers.ListField(child=serializers.DictField())

        currency = serializers.CharField()
        credits_per_usd = serializers.IntegerField()
        version = serializers.IntegerField()
        operations = Operation(many=True)

    class Input(serializers.Serializer[object]):
        """Query parameters."""

        language = serializers.ChoiceField(
            [code for code, _ in settings.LANGUAGES],
            default="en",
            help_text="In which the rules are told",
        )

    @extend_schema(operation_id="prices", parameters=[Input], responses=Output)
    def get(self, request: Request) -> HttpResponse:
        """Return it, or 304 where the caller has it already (`If-None-Match`)."""
        asked = self.Input(data=request.query_params)
        asked.is_valid(raise_exception=True)
        content, tag = price_list(drafts.in_force(), language=asked.validated_data["language"])
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={PUBLIC_SECONDS}"}
        if tag in parse_etags(request.headers.get("If-None-Match", "")):
            return HttpResponseNotModified(headers=headers)
        return HttpResponse(content, content_type="application/json", headers=headers)


def price_list(book: Book, *, language: str = "en") -> tuple[bytes, str]:
    """Return the list under a version and its tag: worked out once an hour in a process."""
    now = (book.number, int(time.time()) // WORKED_OUT_SECONDS)
    with _working, translation.override(language):
        return _price_list((*now, language), book)


def _price_list(now: tuple[int, int, str], book: Book) -> tuple[bytes, str]:
    found = _listed.get(now)
    if found is None:
        document = {
            "currency": "USD",
            "credits_per_usd": CREDITS_PER_USD,
            "version": book.number,
            "operations": [_operation(each, book) for each in listing.listed(book)],
        }
        content = json.dumps(document, ensure_ascii=False).encode()
        found = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        for other in [each for each in _listed if each[:2] != now[:2]]:
            del _listed[other]
        _listed[now] = found
    return found


def _operation(each: listing.Listed, book: Book) -> dict[str, Any]:
    return {
        "route": f"{each.operation.method} /proxy/{each.operation.path}",
        "vendor": each.vendor.name,
        "display": each.vendor.display,
        "title": each.operation.title,
        "nodes": each.nodes,
        "unit": each.unit,
        "rule": said(each.rule),
        "term": each.term,
        "price_version": book.version(each.operation.price_version),
        "prices": [
            {"parameters": row.parameters, "retail": amounts(row.retail), **amounts(row.asked)}
            for row in each.rows
        ],
    }


# --- Quotes -----------------------------------------------------------------------------------


class MayQuote(BasePermission):
    """Anybody; who shows a key needs one that may call, or may read what was called."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raise AccessDisabled for a key that may neither."""
        if request.auth is not None and not (may(request, "proxy") or may(request, "usage:read")):
            raise AccessDisabled("This key may not ask for prices (scope proxy or usage:read).")
        return True


class QuoteView(APIView):
    """What a workflow, or one request, would cost; nothing is sent and nothing set aside."""

    permission_classes = (MayQuote,)
    scopes: ClassVar[dict[str, str]] = {"POST": "proxy"}

    class Input(serializers.Serializer[object]):
        """One of the two."""

        prompt = serializers.DictField(required=False)
        """A workflow in ComfyUI's API format."""
        operation = serializers.DictField(required=False)
        """A request: `{"path": "/proxy/...", "body": {...}}`."""

    class Output(serializers.Serializer[object]):
        """Each node, their sum, and whether the caller's credits and limits are enough."""

        version = serializers.IntegerField()
        nodes = serializers.ListField(child=serializers.DictField())
        total = serializers.DictField()
        is_complete = serializers.BooleanField()
        """Whether every API node is in the sum."""
        refused_by = serializers.DictField(allow_null=True)
        available = serializers.DictField(allow_null=True)
        runs = serializers.DictField(allow_null=True)
        """How often this can be run: `at_least`, even at the most, and `likely`."""

    @extend_schema(operation_id="quote", request=Input, responses=Output)
    def post(self, request: Request) -> Response:
        """Return it; without a credential only prices."""
        _limit(request)
        given = request.data if isinstance(request.data, dict) else {}
        book = drafts.in_force()
        if isinstance(given.get("operation"), dict):
            rows = [asyncio.run(single(given["operation"], book))]
        elif isinstance(given.get("prompt"), dict):
            rows = asyncio.run(workflows.quote(given["prompt"], book))
        else:
            raise InvalidRequest(
                "Send a workflow in the API format as prompt, or a request as operation."
            )
        known = [row.estimate for row in rows if row.estimate is not None]
        total = workflows.total(known)
        answer: dict[str, Any] = {
            "version": book.number,
            "nodes": [_node(row) for row in rows],
            "total": amounts(total),
            "is_complete": len(known) == len(rows),
            "refused_by": None,
            "available": None,
            "runs": None,
        }
        if request.auth is not None:
            answer |= _for_caller(request, book, rows, total)
        return Response(answer)


async def single(told: dict[str, Any], book: Book) -> Quoted:
    """Return what one request would cost; raise what refuses it for what it asks."""
    wanted = requests.read(told)
    found = await estimate(wanted, book)
    route = wanted.route
    title = route.operation.title
    return Quoted("", "", title, route.vendor.name, (route.name,), found, is_exact=True)


def _node(row: Quoted) -> dict[str, Any]:
    told: dict[str, Any] = {
        "node": row.node,
        "class_type": row.name,
        "title": row.title,
        "vendor": row.vendor,
        "operations": list(row.operations),
        "is_exact": row.is_exact,
        "problem": row.problem,
    }
    if row.estimate is not None:
        told |= {**amounts(row.estimate), "inputs": row.estimate.inputs}
    return told


ANONYMOUS, KNOWN = 30, 600
"""Quotes in a minute: for an address, and for a workspace."""


def _limit(request: Request) -> None:
    if request.auth is None:
        who = household(request.META.get("REMOTE_ADDR", ""))
        ratelimits.take("quote", who, most=ANONYMOUS, seconds=60)
    else:
        ratelimits.take("quote", f"{workspace_id(request)}", most=KNOWN, seconds=60)


def _for_caller(
    request: Request, book: Book, rows: list[Quoted], total: Estimate
) -> dict[str, Any]:
    """Return what the caller has, what would refuse it first, and how often it can be run."""
    wallet = Account.objects.get(pk=workspace_id(request))
    available = wallet.balance_micros - wallet.held_micros
    return {
        "refused_by": refusals.first(request, wallet, book, rows, total),
        "available": refusals.amount(available),
        "runs": {
            "at_least": None if not total.most else available // total.most,
            "likely": None if not total.likely else available // total.likely,
        },
    }
