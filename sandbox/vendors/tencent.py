"""Tencent Cloud as Hunyuan 3D's far side: one address, the action in a header, all of it signed.

    POST /  X-TC-Action: Submit...  -> {"Response": {"JobId", "RequestId"}}
            X-TC-Action: Query...   -> {"Response": {"Status", "ResultFile3Ds", ...}}

An error is a 200 with {"Response": {"Error": {"Code", "Message"}}}. The signature is checked here
from its public description, over the bytes that came: by no code of who signs.
"""

import hashlib
import hmac
import re
import time
import uuid
from datetime import UTC, datetime

from aiohttp import web

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.far_side import Desk
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor

VERSION = "2023-09-01"
SERVICE = "hunyuan"
CLOCK_SECONDS = 300
SUBMITS = {
    "SubmitHunyuanTo3DProJob": "pro",
    "SubmitHunyuan3DPartJob": "part",
    "SubmitHunyuanTo3DUVJob": "uv",
    "SubmitHunyuanTo3DTextureEditJob": "texture",
    "Submit3DSmartTopologyJob": "topology",
}
ASKS = {
    "QueryHunyuanTo3DProJob": "pro",
    "QueryHunyuan3DPartJob": "part",
    "DescribeHunyuanTo3DUVJob": "uv",
    "QueryHunyuanTo3DTextureEditJob": "texture",
    "Describe3DSmartTopologyJob": "topology",
}
FILES = {
    "pro": ("GLB", "OBJ"),
    "part": ("FBX",),
    "uv": ("OBJ", "FBX", "UV_IMAGE"),
    "texture": ("GLB", "OBJ", "TEXTURE_IMAGE"),
    "topology": ("OBJ", "GLB"),
}
CODES = {
    400: "InvalidParameter",
    401: "AuthFailure.SignatureFailure",
    402: "FailedOperation.ServiceStopArrears",
    403: "UnauthorizedOperation",
    404: "ResourceNotFound",
    422: "InvalidParameterValue",
    429: "RequestLimitExceeded",
}
WORDS = {None: "RUN", "done": "DONE"}
OWN = {
    401: "AuthFailure.SecretIdNotFound",
    402: "FailedOperation.ResourcePackExhausted",
    429: "RequestLimitExceeded.JobNumExceed",
    500: "InternalError",
    503: "FailedOperation.EngineServerLimitExceeded",
}
SHOWN = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/\s]+)/([\d-]{10})/(\w+)/tc3_request, "
    r"SignedHeaders=content-type;host, Signature=([0-9a-f]{64})"
)


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code; what Tencent says itself is a 200."""
    own = isinstance(detail, tuple)
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status), detail)
    error = {"Code": code or "InternalError", "Message": f"{said or works.USUAL[status]}"}
    told = {"Response": {"Error": error, "RequestId": f"{uuid.uuid4()}"}}
    return Answer.json(told, status=200 if own else status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse as that status would; unless told, that a pack is used up; 451: for the content."""
    if code == 451:
        return RefusedError(200, ("InvalidParameterValue", "The prompt has sensitive content"))
    number = 402 if code is None else code
    return RefusedError(200, (OWN.get(number, CODES.get(number, "InternalError")), "Refused"))


def _shown(request: web.Request) -> re.Match[str] | None:
    given = request.headers.getall("authorization", [])
    return SHOWN.fullmatch(given[0]) if len(given) == 1 else None


def _secret_id(desk: Desk, request: web.Request) -> RefusedError | None:
    """Want a SecretId that is known; the signature is looked at with the body."""
    shown = _shown(request)
    wanted = desk.settings.key or ""
    if shown is not None and hmac.compare_digest(shown[1].encode(), wanted.encode()):
        return None
    return RefusedError(200, ("AuthFailure.SecretIdNotFound", "The SecretId is not found"))


def _check_signature(exchange: Exchange) -> None:
    """See that the signature is that of these bytes, from this minute; where there is a key."""
    settings, request = exchange.desk.settings, exchange.request
    if settings.key is None:
        return
    shown = _shown(request)
    assert shown is not None, "its SecretId was seen"
    _, day, service, signature = shown.groups()
    moment = request.headers.get("x-tc-timestamp", "0")
    if not moment.isdecimal() or abs(time.time() - int(moment)) > CLOCK_SECONDS:
        raise RefusedError(200, ("AuthFailure.SignatureExpire", "The signature has expired"))
    if day != datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%d") or service != SERVICE:
        raise RefusedError(200, ("AuthFailure.SignatureFailure", "The scope is another"))
    body = hashlib.sha256(exchange.raw).hexdigest()
    kind, host = request.headers.get("content-type", ""), request.headers.get("host", "")
    asked = f"POST\n/\n\ncontent-type:{kind}\nhost:{host}\n\ncontent-type;host\n{body}"
    hashed = hashlib.sha256(asked.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{moment}\n{day}/{SERVICE}/tc3_request\n{hashed}"
    key = f"TC3{settings.secret or settings.key}".encode()
    for part in (day, SERVICE, "tc3_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(key.hex(), signature):
        raise RefusedError(200, ("AuthFailure.SignatureFailure", "The signature does not match"))


def _file(body: Body, name: str) -> None:
    works.address(body, f"{name}.Url")
    works.one_of(body, f"{name}.Type", ("GLB", "OBJ", "FBX"))


def _check(kind: str, body: Body) -> None:
    if kind != "pro":
        _file(body, "File" if kind in ("part", "uv") else "File3D")
        return
    works.one_of(body, "Model", ("3.0", "3.1"), default="3.0")
    works.one_of(body, "GenerateType", ("Normal", "LowPoly", "Geometry"), default="Normal")
    works.one_of(body, "FaceCount", range(3000, 1_500_001), default=500_000)
    if not body.get("Prompt"):
        works.given(body, "ImageUrl", "ImageBase64")


async def action(exchange: Exchange) -> Answer:
    """Do what the header says."""
    _check_signature(exchange)
    headers = exchange.request.headers
    name = headers.get("x-tc-action", "")
    if headers.get("x-tc-version") != VERSION or not headers.get("x-tc-region"):
        raise RefusedError(200, ("InvalidParameter", "X-TC-Version and X-TC-Region are wrong"))
    body = works.asked(exchange)
    if name in SUBMITS:
        kind = SUBMITS[name]
        _check(kind, body)
        job = works.start(exchange, *("png" if "IMAGE" in f else "glb" for f in FILES[kind]),
                          kind=kind)  # fmt: skip
        return _answer({"JobId": job.id})
    raise RefusedError(200, ("InvalidAction", f"There is no {name}"))


async def asked_for(exchange: Exchange) -> Answer:
    """Tell where a job stands."""
    _check_signature(exchange)
    name = exchange.request.headers.get("x-tc-action", "")
    job = exchange.find_job(works.text(works.asked(exchange), "JobId"))
    if name not in ASKS or job is None or job.facts["kind"] != ASKS[name]:
        raise RefusedError(200, ("ResourceNotFound", "The job does not exist"))
    told: dict[str, object] = {"Status": WORDS.get(job.ending, "FAIL")}
    told |= {"ErrorCode": "", "ErrorMessage": "", "ResultFile3Ds": []}
    if job.ending == "done":
        kinds = FILES[str(job.facts["kind"])]
        urls = works.addresses(exchange, "tencent", job)
        told["ResultFile3Ds"] = [
            {"Type": kind, "Url": url, "PreviewImageUrl": ""}
            for kind, url in zip(kinds, urls, strict=True)
        ]
    elif job.ending is not None:
        blocked = job.ending != "failed"
        told["ErrorCode"] = "FailedOperation.InnerError"
        told["ErrorMessage"] = "It has sensitive content" if blocked else "It failed"
    return _answer(told)


def _answer(content: dict[str, object]) -> Answer:
    return Answer.json({"Response": {**content, "RequestId": f"{uuid.uuid4()}"}})


def _poll(request: web.Request) -> Route | None:
    return POLL if request.headers.get("x-tc-action", "") in ASKS else None


POLL = Route("POST", "/", Kind.POLL, asked_for)

TENCENT = Vendor(
    name="tencent",
    credential=_secret_id,
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_WORDS,
    ids=frozenset({"JobId"}),
    routes=(Route("POST", "/", Kind.SUBMIT, action, instead=_poll), works.FILES),
)
