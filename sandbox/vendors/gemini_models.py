"""What Gemini's models put out: thoughts, and then text or a picture, within a limit of tokens.

What is cut ends with MAX_TOKENS; a picture that doesn't fit is not there at all. `tokens=N` makes a
model put out so many. Names that the vendor has given up for new ones are not here.
"""

import asyncio
import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.failures import Failures
from sandbox.media import Media, look, render, size
from sandbox.vendor import Body, RefusedError

BYTES_PER_TOKEN = 4
MOST_TEXT, MOST_PICTURE = 65_536, 32_768
USUAL_THOUGHTS = 200
CAPTION = "Here is your picture."
WORD = "waves "


@dataclass(frozen=True, slots=True)
class Model:
    """What a model can put out: text, or pictures of so many tokens by their size."""

    thinks: bool = True
    picture_tokens: Mapping[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """The most tokens of an answer, whatever is asked for."""
        return MOST_PICTURE if self.picture_tokens else MOST_TEXT


FLASH_PICTURE = {"1K": 1120, "512": 747, "2K": 1680, "4K": 2520}
MODELS = {
    "gemini-2.5-pro": Model(),
    "gemini-2.5-flash": Model(),
    "gemini-3-pro-preview": Model(),
    "gemini-3.1-pro-preview": Model(),
    "gemini-3.1-pro": Model(),
    "gemini-3.1-flash-lite": Model(thinks=False),
    "gemini-3.5-flash": Model(),
    "gemini-3.7-flash": Model(),
    "gemini-2.5-flash-image": Model(thinks=False, picture_tokens={"1K": 1290}),
    "gemini-3-pro-image": Model(picture_tokens={"1K": 1120, "2K": 1120, "4K": 2000}),
    "gemini-3.1-flash-image": Model(picture_tokens=FLASH_PICTURE),
    "gemini-3.1-flash-lite-image": Model(thinks=False, picture_tokens={"1K": 1120}),
}


@dataclass(slots=True)
class Output:
    """One candidate: its parts, their tokens by kind, those of its thoughts, and how it ended."""

    parts: list[dict[str, object]] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    thoughts: int = 0
    ending: str = "STOP"

    def candidate(self) -> dict[str, object]:
        """Say it as Google does: a content without parts where there are none."""
        content = {"role": "model", **({"parts": self.parts} if self.parts else {})}
        return {"content": content, "finishReason": self.ending}


def limit(settings: Body, model: Model) -> int:
    """Return how many tokens an answer may have."""
    asked = settings.get("maxOutputTokens")
    if asked is None:
        return model.most
    if isinstance(asked, bool) or not isinstance(asked, int) or not 1 <= asked <= MOST_TEXT:
        raise RefusedError(400, f"maxOutputTokens must be from 1 to {MOST_TEXT}")
    return min(asked, model.most)


async def put_out(model: Model, settings: Body, failures: Failures, seen: str) -> Output:
    """Think, then speak or draw, as far as the limit goes; or end as the failures say."""
    room = limit(settings, model)
    wanted = failures.get("tokens")
    output = Output(thoughts=min(USUAL_THOUGHTS if model.thinks else 0, room))
    if wanted is not None:
        output.thoughts = min(output.thoughts, int(wanted))
    for name, endings in BAD_ENDINGS.items():
        if name in failures:
            output.ending = endings[bool(model.picture_tokens)]
            return output
    modalities = _modalities(settings, model)
    if "IMAGE" in modalities:
        await _draw(output, model, settings, wanted, room, seen)
    if "TEXT" in modalities and output.ending == "STOP":
        _speak(output, model, wanted, room)
    return output


BAD_ENDINGS = {
    "content_moderated": ("SAFETY", "IMAGE_SAFETY"),
    "failed": ("OTHER", "NO_IMAGE"),
}


def _modalities(settings: Body, model: Model) -> set[str]:
    can = ("TEXT", "IMAGE") if model.picture_tokens else ("TEXT",)
    asked = settings.get("responseModalities") or can
    if not isinstance(asked, list | tuple) or not set(asked) <= set(can):
        raise RefusedError(400, "The model does not support the requested response modalities")
    return {str(each) for each in asked}


def _speak(output: Output, model: Model, wanted: float | None, room: int) -> None:
    """Add text: a caption to a picture, else as much as is wanted and fits."""
    left = room - output.thoughts - output.tokens.total()
    if model.picture_tokens:
        text, tokens = CAPTION, -(-len(CAPTION) // BYTES_PER_TOKEN)
    else:
        tokens = 24 if wanted is None else max(0, int(wanted) - output.thoughts)
        text = (WORD * tokens)[: min(tokens, left) * BYTES_PER_TOKEN]
    if tokens > left:
        output.ending, tokens = "MAX_TOKENS", left
        text = text[: left * BYTES_PER_TOKEN]
    if tokens:
        output.parts.insert(0, {"text": text})
        output.tokens["TEXT"] += tokens


async def _draw(
    output: Output, model: Model, settings: Body, wanted: float | None, room: int, seen: str
) -> None:
    """Add a picture, if it fits."""
    config = settings.get("imageConfig") or {}
    asked = config if isinstance(config, dict) else {}
    side = str(asked.get("imageSize") or next(iter(model.picture_tokens)))
    if side not in model.picture_tokens:
        raise RefusedError(400, f"imageSize {side} is not supported by the model")
    tokens = model.picture_tokens[side] if wanted is None else max(1, int(wanted))
    if output.thoughts + tokens > room:
        output.ending = "MAX_TOKENS"
        return
    width, height = size({"aspect_ratio": asked.get("aspectRatio")})
    media = Media("png", look=look(seen, settings.get("seed")), width=width, height=height)
    drawn = await asyncio.to_thread(render, media)
    data = base64.b64encode(drawn).decode()
    output.parts.append({"inlineData": {"mimeType": media.content_type, "data": data}})
    output.tokens["IMAGE"] += tokens
