"""Tencent Hunyuan 3D: five works at one address, told apart by a signed header; polls are POSTs.

Everything stands inside `Response`, which clients may read unwrapped; an error stands in a 200.
No code means moderation: its words do. Only a few jobs run at once; one more is a limit exceeded,
which is a 429 here. Fields that no node sends may cost (post-processing of parts is 20 points).
Source: tencentcloud-sdk-python-intl-en 3.1.193. Sketches have no price at clients.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import Inside
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, choice_of, count, known, only
from proxy.signatures import TC3
from proxy.vendors.states import BLOCKED, States, each, id_at, listed, saying, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "tencent-2026-08"
POINT = usd("0.02")
TYPES = {"Normal": 25, "LowPoly": 30, "Geometry": 15}
VIEWS, PBR, FACES = 10, 10, 10
USUAL_FACES = 500_000
PRO = ("Model", "Prompt", "ImageUrl", "ImageBase64", "MultiViewImages", "EnablePBR", "FaceCount",
       "GenerateType", "PolygonType")  # fmt: skip

PICTURES = ("ImageUrl", "ViewImageUrl", "Url")
"""Where the address of a picture is; in its place may stand the picture."""


def pro(asked: Asked) -> Quote:
    """Price a model by its kind; several views, materials and another count of faces are extra."""
    body = asked.body
    only(body, PRO)
    model = choice_of(body, "Model", ("3.0", "3.1"), default="3.0")
    kind = choice_of(body, "GenerateType", TYPES, default="Normal")
    points = {name.lower(): each_ for name, each_ in TYPES.items()}[kind]
    points += VIEWS if listed(body, "MultiViewImages", most=10) else 0
    materials = body.get("EnablePBR")
    if materials is not None and not isinstance(materials, bool):
        raise InvalidRequest("EnablePBR must be true or false.")
    points += PBR if materials else 0
    faces = count(body, "FaceCount", least=3000, most=1_500_000, default=USUAL_FACES)
    points += FACES if faces != USUAL_FACES else 0
    return known(POINT * points, model=model, kind=kind)


def _flat(price: str, *names: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        only(asked.body, names)
        return known(usd(price))

    return Ruled(rule)


def _saying(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    usual = {"Model": "3.0", "GenerateType": "Normal", "FaceCount": USUAL_FACES, "EnablePBR": False}
    return saying(asked, None, usual)


# --- What Tencent says ---------------------------------------------------------------------------

CODES = (
    (re.compile(r"AuthFailure|UnauthorizedOperation|FailedOperation\.(Free)?ResourcePackExhausted"
                r"|FailedOperation\.Service(Stop|NotActivated)|UnsupportedRegion|.*InArrears"),
     Verdict.OPERATOR),
    (re.compile(r"RequestLimitExceeded|LimitExceeded|.*EngineServerLimitExceeded"), Verdict.BUSY),
    (re.compile(r"InvalidParameter|MissingParameter|UnknownParameter|UnsupportedOperation"
                r"|InvalidRequest|ResourceNotFound"), Verdict.REJECTED),
)  # fmt: skip
"""By how a code begins; others are about Tencent itself: nobody knows then what was done."""
_says = text_at("Response.Error.Message")
_code = text_at("Response.Error.Code")


def _judge(said: Said) -> Judged | None:
    code = _code(said.json)
    if not code:
        return None
    verdict = next((verdict for pattern, verdict in CODES if pattern.match(code)), None)
    if verdict is Verdict.REJECTED and BLOCKED.search(f"{code} {_says(said.json)}"):
        verdict = Verdict.MODERATED
    if verdict is None:
        return Judged(Verdict.UNKNOWN) if said.status in DELIVERING else None
    return Judged(verdict)


def _judge_poll(said: Said) -> Judged | None:
    return Judged(Verdict.MISSING) if _code(said.json).startswith("ResourceNotFound") else None


STATES = States(
    at="Response.Status",
    done=("DONE",),
    failed=("FAIL",),
    running=("RUN", "WAIT"),
    results=("Response.ResultFile3Ds[].Url",),
    why=("Response.ErrorCode", "Response.ErrorMessage"),
    judge_error=_judge_poll,
)


def _unwrapped(answer: Any) -> Any:
    """Return what stands inside; clients read either, and insist on lists and texts."""
    inside = next(each(answer, "Response"), None)
    if not isinstance(inside, dict):
        return answer
    return {name: value for name, value in inside.items() if value is not None}


def _polled(answer: Any) -> Any:
    return _unwrapped(STATES.reply(answer))


def _told(word: str, why: str = "") -> dict[str, Any]:
    code = "FailedOperation" if why else ""
    return {"Status": word, "ErrorCode": code, "ErrorMessage": why, "ResultFile3Ds": []}


def _signed(action: str) -> TC3:
    return TC3("hunyuan", "2023-09-01", action, "ap-singapore")


def _work(
    path: str, title: str, price: Ruled, submits: str, asks: str, **more: Any
) -> tuple[Operation, Operation]:
    """Return the submit and the poll of a work, each with what it is called at the vendor."""
    poll = f"tencent/hunyuan/{path}/query"
    job = Job(
        poll=poll,
        job_id=id_at("Response.JobId"),
        judge=STATES.judge,
        pending=lambda _: _told("RUN"),
        failed=lambda _, why: _told("FAIL", why),
        results=STATES.made,
        interval_seconds=5.0,
        deadline_seconds=3 * 3600,
        kept_seconds=24 * 3600,
    )
    return (
        Operation(
            "POST",
            f"tencent/hunyuan/{path}",
            "/",
            price,
            Kind.SUBMIT,
            job=job,
            reply=_unwrapped,
            credential=_signed(submits),
            timeout_seconds=300,
            price_version=VERSION,
            title=f"Hunyuan3D {title}",
            **more,
        ),
        Operation(
            "POST",
            poll,
            "/",
            kind=Kind.POLL,
            names=Named("body", "JobId"),
            reply=_polled,
            credential=_signed(asks),
            timeout_seconds=60,
        ),
    )


TENCENT = Vendor(
    name="tencent",
    display="Tencent Hunyuan 3D",
    base_url="https://hunyuan.intl.tencentcloudapi.com",
    credential=_signed("QueryHunyuanTo3DProJob"),
    operations=(
        *_work("3d-pro", "Pro", Ruled(pro), "SubmitHunyuanTo3DProJob", "QueryHunyuanTo3DProJob",
               prepare=_saying),
        *_work("3d-part", "Part", _flat("0.6", "File", "EnableStagedGeneration"),
               "SubmitHunyuan3DPartJob", "QueryHunyuan3DPartJob"),
        *_work("3d-uv", "UV", _flat("0.2", "File"),
               "SubmitHunyuanTo3DUVJob", "DescribeHunyuanTo3DUVJob"),
        *_work("3d-texture-edit", "Texture Edit",
               _flat("0.6", "File3D", "Image", "Prompt", "EnablePBR"),
               "SubmitHunyuanTo3DTextureEditJob", "QueryHunyuanTo3DTextureEditJob"),
        *_work("3d-smart-topology", "Smart Topology",
               _flat("1", "File3D", "PolygonType", "FaceLevel"),
               "Submit3DSmartTopologyJob", "Describe3DSmartTopologyJob"),
    ),
    along={"image": Inside({name: name.replace("Url", "Base64") for name in PICTURES})},
    judge=_judge,
    says=_says,
)  # fmt: skip
