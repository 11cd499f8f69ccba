"""What all faces share: who asks, what was sent, and the most that a run may cost."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import keys
from apikeys.authentication import KeyAuthentication, SessionAuthentication, allowed_to
from apikeys.models import ApiKey
from common import drf, logs
from common.errors import AccessDisabled, InvalidRequest, PlatformError
from common.ids import uuid7
from common.money import CREDITS_PER_USD, MICROS_PER_USD, Micros
from runs import core, graph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rest_framework.request import Request

SCOPE: Final = "runs"
KEY_NAME: Final = "api_key_comfy_org"
"""Under this name in `extra_data` headless scripts for a ComfyUI show a key."""
MOST_IDS: Final = 1000
MOST_CREDITS: Final = 10**9
LONGEST_NUMBER: Final = 9
MOST_HEADER: Final = "Run-Max-Credits"
WORDS: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "invalid_request",
    413: "payload_too_large",
    503: "upstream_error",
}
"""What the dialects call a refusal that has no word of its own there."""


REQUEST: Final = "X-Comfy-Request-Id"
"""By it a client names one answer to whoever helps; a refusal's line in our log has it, too."""
OWN: Final = ("no_worker", "blob_not_found")
"""What they have words of their own for."""


class RunKeyAuthentication(KeyAuthentication):
    """A key as scripts show one: `X-API-KEY`, a bearer, or the password of Basic."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return the key's user and the key, or None without a credential."""
        given = request.headers.get("X-API-KEY", "").strip() or of_header(request.headers)
        given = given or self.in_body(request)
        if not given:
            return None
        found = keys.authenticate(given, address=request.META.get("REMOTE_ADDR", ""))
        role: str = found.role  # type: ignore[attr-defined]  # As it is looked up with the key.
        found.scopes = [each for each in found.scopes if each in allowed_to(role)]
        return found.user, found

    def in_body(self, request: Request) -> str:
        """Return a key that came in the body; most dialects have none there."""
        return ""


def of_header(headers: Mapping[str, str]) -> str:
    """Return the key that `Authorization` shows: a bearer, or the password of Basic; or nothing."""
    scheme, _, given = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        plain = base64.b64decode(given.strip(), validate=True).decode()
    except ValueError:  # Of neither alphabet, or of no text.
        return ""
    return plain.partition(":")[2]


class Face(APIView):
    """A view in a dialect: who asks has the scope of runs, refusals have the dialect's shape."""

    authentication_classes = (RunKeyAuthentication, SessionAuthentication)
    scopes: ClassVar[dict[str, str]] = {"GET": SCOPE, "POST": SCOPE}
    schema = None

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Any:
        """Have every answer say by what id it is known."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        for name, value in named_answer(type(self).__name__, answer.status_code).items():
            answer.headers[name] = value
        return answer

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response | None]:
        """Return what answers a refusal here."""
        return self._refused

    def _refused(self, exc: Exception, context: dict[str, Any]) -> Response | None:
        if isinstance(exc, PlatformError):
            status, body = self.refusal(exc)
            return Response(body, status, headers=exc.headers)
        if isinstance(exc, APIException):
            answer = drf.handle(exc, context)
            assert answer is not None
            sentence = str(answer.data.get("message", "")) if answer.data else ""
            meant = InvalidRequest(sentence or str(exc.detail))
            answer.data = self.refusal(meant, status=answer.status_code)[1]
            return answer
        return drf.handle(exc, context)

    def refusal(self, exc: PlatformError, *, status: int | None = None) -> tuple[int, Any]:
        """Return a refusal's status and its body, as the dialect has them."""
        raise NotImplementedError


def named_answer(where: str, status: int) -> dict[str, str]:
    """Return the headers of an answer: its id, which for a refusal our log has, too.

    A 401 names what clients of these dialects show.
    """
    request_id = uuid7()
    if status >= HTTPStatus.BAD_REQUEST:
        logs.line(event="refused", request=request_id, status=status, at_face=where)
    is_strange = status == HTTPStatus.UNAUTHORIZED
    return {REQUEST: request_id, **({"WWW-Authenticate": "Bearer"} if is_strange else {})}


def word(exc: PlatformError, status: int | None = None) -> str:
    """Return what the dialects call a refusal."""
    at = status or exc.status
    if at in (400, 422) and getattr(exc, "kind", "") == "missing_asset":
        return "missing_asset"
    if exc.code in OWN:
        return exc.code
    return WORDS.get(at, exc.code)


def by(request: Request) -> core.By:
    """Return who asks."""
    key = request.auth if isinstance(request.auth, ApiKey) else None
    return core.By(
        workspace_id=drf.workspace_id(request),
        user_id=request.user.pk,  # type: ignore[arg-type]
        key=key,
        address_id=getattr(key, "address_id", None),
        address_micros=getattr(key, "address_micros", None),
    )


def sent(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises InvalidRequest for what no database keeps."""
    given = request.data
    if not isinstance(given, dict):
        raise InvalidRequest("Send a JSON object.")
    if graph.holds_nul(given):
        raise InvalidRequest("No text may hold the character NUL.")
    return dict(given)


def most(request: Request, given: Mapping[str, Any]) -> Micros | None:
    """Return the most that the run may cost, if that is said: whole credits, in body or header."""
    said = given.get("max_credits")
    if said is None:
        header = request.headers.get(MOST_HEADER, "").strip()
        if not header:
            return None
        said = int(header) if header.isascii() and header.isdecimal() and len(header) < 12 else 0
    if isinstance(said, bool) or not isinstance(said, int) or not 0 < said <= MOST_CREDITS:
        raise InvalidRequest("max_credits: whole credits, from 1 on.")
    return Micros(said * MICROS_PER_USD // CREDITS_PER_USD)


def micros(whole_credits: int | None) -> Micros | None:
    """Return whole credits in micros, rounded up: so they come back as they were said."""
    if whole_credits is None:
        return None
    return Micros(-(-whole_credits * MICROS_PER_USD // CREDITS_PER_USD))


def seconds(given: object, name: str, *, least: int, most: int) -> int | None:
    """Return for how long something shall hold; None where nothing is said."""
    if given in (None, ""):
        return None
    said = str(given)
    found = int(said) if said.isascii() and said.isdecimal() and len(said) < 9 else 0
    if not least <= found <= most:
        raise InvalidRequest(f"{name}: seconds, from {least} to {most}.")
    return found


def whole_credits(amount: int | None) -> int | None:
    """Return micros as whole credits, or nothing where there are none."""
    return amount * CREDITS_PER_USD // MICROS_PER_USD if amount else None


def count(text: str, name: str, *, most: int) -> int:
    """Return a number that was asked for, from 1 on; of a text without end no number is made."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    found = int(text) if is_number else 0
    if not 1 <= found <= most:
        raise InvalidRequest(f"{name}: from 1 to {most}.")
    return found


def whole(text: str | None, name: str, *, usual: int) -> int:
    """Return a number that was asked for, from 0 on; the usual one where none was."""
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise InvalidRequest(f"{name}: a number from 0 on.")
    return int(text)


def text(given: Mapping[str, Any], name: str, *, longest: int = 255) -> str:
    """Return a text that was sent, or an empty one. Raises InvalidRequest where it is none."""
    said = given.get(name)
    if said is None:
        return ""
    if not isinstance(said, str) or len(said) > longest:
        raise InvalidRequest(f"{name}: a text of at most {longest} characters.")
    return said


def ids_in(said: object, name: str) -> list[str]:
    """Return a list of ids that was sent. Raises InvalidRequest where it is none."""
    if not isinstance(said, list) or len(said) > MOST_IDS:
        raise InvalidRequest(f"{name}: a list of at most {MOST_IDS} ids.")
    if not all(isinstance(each, str) for each in said):
        raise InvalidRequest(f"{name}: a list of ids, as texts.")
    return list(said)


def addresses(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return `files` as the core has them: path -> where its bytes are from."""
    said = given.get("files") or {}
    if not isinstance(said, dict) or not all(isinstance(each, str) for each in said.values()):
        raise InvalidRequest("files: a JSON object, path -> address.")
    return {path: {"url": url} for path, url in said.items()}


def own_key(request: Request, said: object) -> None:
    """Have a key in `extra_data` be one of the workspace; it is not used, as the run pays."""
    if said is None:
        return
    if not isinstance(said, str):
        raise InvalidRequest(f"extra_data.{KEY_NAME}: a key, as text.")
    if keys.living_of(said).workspace_id != drf.workspace_id(request):
        raise AccessDisabled("The key in extra_data is another workspace's. Use one of this one.")
