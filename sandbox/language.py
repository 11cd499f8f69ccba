"""What the far sides of language models have in common: texts in, a text out, tokens counted.

The text is as long as `sandbox:tokens=N` says, and never longer than the limit that was sent;
`sandbox:no_usage` leaves out what was used.
"""

from collections.abc import Mapping

from sandbox.vendor import Exchange

USUAL_TOKENS = 40
WORD = "word "
BYTES_PER_TOKEN = 4
PICTURE_TOKENS = 1_000


def spoken(exchange: Exchange, limit: int) -> tuple[str, int, bool]:
    """Return a text, its tokens, and whether the limit cut it."""
    wanted = int(exchange.failures.get("tokens") or USUAL_TOKENS)
    tokens = min(wanted, limit)
    return (WORD * tokens).strip(), tokens, tokens < wanted


def asked_tokens(value: object) -> int:
    """Count the tokens of a request's texts, and of what it shows."""
    if isinstance(value, str):
        is_media = value.startswith(("https://", "http://", "data:"))
        return PICTURE_TOKENS if is_media else -(-len(value.encode()) // BYTES_PER_TOKEN)
    if isinstance(value, Mapping):
        return sum(asked_tokens(each) for each in value.values())
    if isinstance(value, list):
        return sum(asked_tokens(each) for each in value)
    return 0


def reports(exchange: Exchange) -> bool:
    """Whether the answer says what was used."""
    return "no_usage" not in exchange.failures
