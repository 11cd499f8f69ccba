"""Recraft: the answer is where the picture lies, or the id of a style.

    POST /v1/images/generations  JSON  -> {"created", "credits", "data": [{"image_id", "url"}]}
    POST /v1/images/<edit>       form  -> the same, or {"image": {"image_id", "url"}}
    POST /v1/styles              form  -> {"id"}

Errors are plain text. `credits` are thousandths of a dollar.
"""

import time
import uuid

from sandbox import pictures, works
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

STYLES = ("any", "realistic_image", "digital_illustration", "vector_illustration", "logo_raster")
SAYS = {
    401: "request unauthorized",
    402: "not enough credits",
    403: "forbidden",
    429: "too many requests",
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a line of text."""
    said = f"{detail or SAYS.get(status) or works.USUAL[status]}"
    return Answer(said.encode(), status=status, content_type="text/plain")


def _several(exchange: Exchange, body: Body, each: int) -> Answer:
    count = pictures.number(body, "n", least=1, most=6, default=1)
    urls = pictures.hung(exchange, "recraft", *["png"] * count)
    made = [{"image_id": str(uuid.uuid4()), "url": url} for url in urls]
    told = {"created": int(time.time()), "credits": each * count, "data": made}
    return Answer.json(told)


async def draw(exchange: Exchange) -> Answer:
    """Draw what a text says."""
    body = works.asked(exchange)
    works.text(body, "prompt")
    style = works.one_of(body, "style", STYLES, default="any")
    return _several(exchange, body, 80 if style == "vector_illustration" else 40)


async def edit(exchange: Exchange) -> Answer:
    """Draw something of a picture."""
    form = pictures.form(exchange)
    edit_ = exchange.request.path.rpartition("/")[2]
    wanted = {"image", "mask"} if edit_ == "inpaint" else {"image"}
    if set(form.files) != wanted:
        raise RefusedError(400, f"these files are needed: {sorted(wanted)}")
    body = pictures.fields(form)
    works.text(body, "prompt")
    return _several(exchange, body, 40)


async def treat(exchange: Exchange) -> Answer:
    """Do something to the one picture."""
    form = pictures.form(exchange)
    if set(form.files) != {"file"}:
        raise RefusedError(400, "file is needed")
    (url,) = pictures.hung(exchange, "recraft", "png")
    image = {"image_id": str(uuid.uuid4()), "url": url}
    return Answer.json({"created": int(time.time()), "credits": 10, "image": image})


async def style(exchange: Exchange) -> Answer:
    """Make a style of up to five pictures."""
    form = pictures.form(exchange)
    works.one_of(pictures.fields(form), "style", (*STYLES, "icon"))
    if not 1 <= len(form.files) <= 5:
        raise RefusedError(400, "one to five files are needed")
    return Answer.json({"id": str(uuid.uuid4())})


EDITS = ("imageToImage", "inpaint", "replaceBackground")
TREATMENTS = ("removeBackground", "vectorize", "crispUpscale", "creativeUpscale")
RECRAFT = Vendor(
    name="recraft",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    ids=frozenset({"id", "image_id"}),
    routes=(
        Route("POST", "/v1/images/generations", Kind.SUBMIT, draw),
        *(Route("POST", f"/v1/images/{each}", Kind.SUBMIT, edit) for each in EDITS),
        *(Route("POST", f"/v1/images/{each}", Kind.SUBMIT, treat) for each in TREATMENTS),
        Route("POST", "/v1/styles", Kind.SUBMIT, style),
        works.FILES,
    ),
)
