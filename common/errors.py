"""Every refusal that a caller may see: its code, its status, its sentence, and the two shapes.

A message says what happened and what to do next, for a person. `/customers*` gives the flat
shape, `/proxy/*` the combined one, which every generation of the node client was measured to
show well (contract 3.1, client-behaviour C3). No code may hold the letters "message": the client
of October 2025 crashes on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

CHALLENGE = "ApiKey"
"""What a 401 asks for. Browsers know no such scheme, so none opens a window for a password."""


class PlatformError(Exception):
    """A refusal that we meant, safe to show to the caller."""

    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(sentence))  # In the language of whoever is refused.
        self.headers = headers or {}
        self.told: Any = None
        """What is known of it beside the sentence: never part of an answer."""

    def body(self) -> dict[str, Any]:
        """Return the flat JSON body of `/customers*` and `/admin/*`."""
        return {"error": self.code, "message": str(self)}

    def proxy_body(self) -> dict[str, Any]:
        """Return the combined JSON body of `/proxy/*`."""
        return combined(str(self), self.code)

    def body_at(self, path: str) -> dict[str, Any]:
        """Return the body that whoever asks at that path reads."""
        return self.proxy_body() if is_for_nodes(path) else as_flat(path, **self.body())


def combined(sentence: str, code: str) -> dict[str, Any]:
    """Return the body that every generation of the node client shows well."""
    return {
        "error": {"message": sentence, "type": code},
        "message": sentence,
        "detail": {"message": sentence},
    }


NODES_ASK = ("/proxy", "/auth", "/customers/storage")


def is_for_nodes(path: str) -> bool:
    """Whether a node asks there, so that every refusal has the combined shape."""
    return any(path == each or path.startswith(f"{each}/") for each in NODES_ASK)


def as_flat(path: str, **flat: Any) -> dict[str, Any]:
    """Return a flat body; below /api/ the frontend reads the code as `code` (contract 3.1)."""
    return {**flat, "code": flat["error"]} if path.startswith("/api/") else flat


class InvalidRequest(PlatformError):
    """The request itself is wrong; the sentence names the field."""


class Unauthorized(PlatformError):
    """No usable credential came with the request."""

    code = "unauthorized"
    status = 401

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence, headers={"WWW-Authenticate": CHALLENGE, **(headers or {})})


class InsufficientCredits(PlatformError):
    """The wallet's available balance does not cover the most that the call can cost."""

    code = "insufficient_credits"
    status = 402


class AccessDisabled(PlatformError):
    """The workspace or the key may not do this, by policy; waiting does not help."""

    code = "access_disabled"
    status = 403


class OriginNotAllowed(PlatformError):
    """Nobody signs in from there; a key is what works from anywhere."""

    code = "origin_not_allowed"
    status = 403


class BudgetExceeded(PlatformError):
    """A limit that the owner of the key set."""

    code = "budget_exceeded"
    status = 403


class ConcurrencyLimit(PlatformError):
    """As many calls are running as may at once; trying again helps when one has ended."""

    code = "concurrency_limit"
    status = 429


class ProviderDisabled(PlatformError):
    """The vendor is not configured, switched off, or does not accept our account."""

    code = "provider_disabled"
    status = 403


class NotFound(PlatformError):
    """There is no such thing, or it is not yours."""

    code = "not_found"
    status = 404


class UnknownRoute(PlatformError):
    """What is not in the catalogue is not relayed."""

    code = "unknown_route"
    status = 404


class BodyTooLarge(PlatformError):
    """More bytes than the operation takes."""

    code = "body_too_large"
    status = 413


class UnsupportedCoding(PlatformError):
    """The body is compressed in a way that is not undone here."""

    code = "unsupported_coding"
    status = 415

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence, headers={"Accept-Encoding": "gzip, deflate", **(headers or {})})


class Misconfigured(PlatformError):
    """The operator's settings would have it fail; trying again does not help."""

    code = "misconfigured"
    status = 403


class ContentBlocked(PlatformError):
    """The vendor's moderation refused the input."""

    code = "content_blocked"
    status = 422


class IdempotencyState(PlatformError):
    """A repeat under an Idempotency-Key that cannot be answered with the result (contract 3.5)."""

    status = 409

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence, headers={"X-Comfy-Error-Type": self.code, **(headers or {})})

    def proxy_body(self) -> dict[str, Any]:
        """Return the combined body with the state beside it."""
        return {**super().proxy_body(), "error_type": self.code}


class IdempotencyInFlight(IdempotencyState):
    """The first call of this key is still running."""

    code = "idempotency_in_flight"


class IdempotencyConsumed(IdempotencyState):
    """The first call ended, and its answer can no longer be given; nothing is charged again."""

    code = "idempotency_consumed"


class IdempotencyMismatch(IdempotencyState):
    """The key was used for another request."""

    code = "idempotency_mismatch"


class InvalidFileUrl(PlatformError):
    """A file that a run names cannot be had from there, or may not go there."""

    code = "invalid_file_url"
    status = 422


class InvalidWebhookUrl(PlatformError):
    """Nothing is sent to that address."""

    code = "invalid_webhook_url"
    status = 422


class ConflictingPosting(PlatformError):
    """A posting key was used before for another movement: our own mistake, never a client's."""

    code = "conflicting_posting"
    status = 409


class RateLimited(PlatformError):
    """Too many tries of this kind; `Retry-After` says when the next is heard."""

    code = "rate_limited"
    status = 429


class ProviderRateLimited(PlatformError):
    """The vendor asks us to slow down."""

    code = "provider_rate_limited"
    status = 429


class ProviderError(PlatformError):
    """The vendor failed, and certainly did not do the work."""

    code = "provider_error"
    status = 502


class OutcomeUnknown(PlatformError):
    """The vendor's answer was lost; whether it did the work is not known (contract 3.6).

    The status is one that no client repeats by itself: a repeat would pay the vendor twice.
    """

    code = "outcome_unknown"
    status = 422


class JobExpired(PlatformError):
    """The vendor's job did not end in time; nothing was charged."""

    code = "job_expired"
    status = 422


class Unavailable(PlatformError):
    """We cannot decide right now (database away, memory full, stopping); trying again helps."""

    code = "service_unavailable"
    status = 503

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence, headers={"Retry-After": "2", **(headers or {})})


class Maintained(PlatformError):
    """New calls are paused while the platform is worked on; nothing was sent or set aside.

    A status that clients repeat by themselves: it was certainly not done.
    """

    code = "maintenance"
    status = 503

    def __init__(self, sentence: StrOrPromise, *, seconds: int = 60) -> None:
        super().__init__(sentence, headers={"Retry-After": f"{seconds}"})


class Moving(PlatformError):
    """The workspace is on its way to another cell; nothing was sent or set aside.

    A status that clients repeat by themselves: it was certainly not done.
    """

    code = "workspace_moving"
    status = 503

    def __init__(self, sentence: StrOrPromise) -> None:
        super().__init__(sentence, headers={"Retry-After": "10"})


class Moved(PlatformError):
    """The workspace is another cell's; the sentence names its address, and so does a header.

    A status that no client repeats here: it would be told the same for ever (RFC 9110, 15.5.20).
    """

    code = "workspace_moved"
    status = 421

    def __init__(self, sentence: StrOrPromise, *, address: str = "") -> None:
        named = {"Link": f'<{address}>; rel="canonical"'} if address else {}
        super().__init__(sentence, headers=named)


class InvalidWorkflow(PlatformError):
    """A workflow that could not run anywhere here; `kind` is ComfyUI's own word for why."""

    code = "invalid_workflow"
    status = 422

    def __init__(
        self,
        sentence: str,
        *,
        kind: str = "invalid_prompt",
        details: dict[str, Any] | None = None,
        node_errors: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.details = details or {}
        self.node_errors = node_errors or {}


class WorkflowFormatUi(InvalidWorkflow):
    """A workflow as ComfyUI's page saves it, not as programs need it."""

    code = "workflow_format_ui"


class QueueFull(PlatformError):
    """As many runs of the workspace wait as may."""

    code = "queue_full"
    status = 429


class NoWorker(PlatformError):
    """All machines that could run it are down for a while; waiting may help."""

    code = "no_worker"
    status = 503

    def __init__(self, sentence: StrOrPromise, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence, headers={"Retry-After": "30", **(headers or {})})


class IdempotencyKeyReuse(PlatformError):
    """A run was made under this key, or this id, before; `run_id` names it."""

    code = "idempotency_key_reuse"
    status = 422

    def __init__(self, sentence: StrOrPromise, *, run_id: str = "", is_same: bool = False) -> None:
        super().__init__(sentence)
        self.run_id = run_id
        self.is_same = is_same
