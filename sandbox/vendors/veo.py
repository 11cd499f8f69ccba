"""Google Veo on Vertex AI: an operation that is asked for by a POST, with the film in its end.

    POST .../models/<m>:predictLongRunning     -> {"name"}
    POST .../models/<m>:fetchPredictOperation  -> {"name", "done", "response" | "error"}

The name belongs to the model and the project. What is filtered (`content_moderated`) is an end
without a film, a prompt that is blocked (`moderated`) an end with an error. A place to write to
must be a bucket, and the sandbox has none.
"""

import asyncio
import base64
import uuid

from sandbox import works
from sandbox.failures import Failures
from sandbox.media import render
from sandbox.vendor import Answer, Exchange, RefusedError

MODELS = {
    "veo-2.0-generate-001",
    "veo-3.0-generate-001",
    "veo-3.0-fast-generate-001",
    "veo-3.1-generate-001",
    "veo-3.1-fast-generate-001",
    "veo-3.1-lite-generate-001",
}
KNOWN = {
    "aspectRatio", "durationSeconds", "enhancePrompt", "generateAudio", "negativePrompt",
    "personGeneration", "resolution", "sampleCount", "seed", "storageUri", "compressionQuality",
    "resizeMode",
}  # fmt: skip
BLOCKED = "The prompt could not be submitted. It may violate our usage policies."
FILTERED = ["Veo could not generate videos because of the content. Support codes: 58061214"]


def _model(exchange: Exchange) -> str:
    name = exchange.request.match_info["model"]
    if name not in MODELS:
        raise RefusedError(404, f"Publisher Model `{name}` was not found.")
    return name


def _place(exchange: Exchange) -> str:
    where = exchange.request.match_info
    if "project" not in where:
        return "projects/key/locations/global"
    return f"projects/{where['project']}/locations/{where['location']}"


async def begin(exchange: Exchange) -> Answer:
    """Accept a film."""
    model = _model(exchange)
    body = works.asked(exchange)
    works.only(body, ("instances", "parameters", "labels"))
    instances = body.get("instances")
    if not isinstance(instances, list) or len(instances) != 1:
        raise RefusedError(400, "Exactly one instance is required.")
    works.text(instances[0], "prompt")
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise RefusedError(400, "parameters must be an object.")
    works.only(parameters, KNOWN)
    if parameters.get("storageUri"):
        raise RefusedError(403, "Permission denied on the bucket.")
    seconds = works.one_of(parameters, "durationSeconds", range(4, 9), default=8)
    count = works.one_of(parameters, "sampleCount", range(1, 5), default=1)
    if not model.startswith("veo-2"):
        works.one_of(parameters, "generateAudio", (True, False))
    assert isinstance(seconds, int), "it is one of a range"
    assert isinstance(count, int), "it is one of a range"
    name = f"{_place(exchange)}/publishers/google/models/{model}/operations/{uuid.uuid4()}"
    works.start(exchange, *["mp4"] * count, seconds=seconds, job_id=name)
    return Answer.json({"name": name})


async def tell(exchange: Exchange) -> Answer:
    """Tell where an operation of this model stands."""
    name = works.text(works.asked(exchange), "operationName")
    prefix = f"{_place(exchange)}/publishers/google/models/{_model(exchange)}/operations/"
    if not name.startswith(prefix):
        raise RefusedError(400, "The operation does not belong to this model.")
    job = exchange.find_job(name)
    if job is None:
        raise RefusedError(404, "Operation not found.")
    told: dict[str, object] = {"name": name}
    if job.ending is not None:
        told["done"] = True
    if job.ending == "done":
        films = [await asyncio.to_thread(render, made) for made in job.makes]
        told["response"] = {
            "@type": "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse",
            "raiMediaFilteredCount": 0,
            "videos": [
                {"bytesBase64Encoded": base64.b64encode(film).decode(), "mimeType": "video/mp4"}
                for film in films
            ],
        }
    elif job.ending is not None:
        told |= _bad(job.failures)
    return Answer.json(told)


def _bad(failures: Failures) -> dict[str, object]:
    if "content_moderated" in failures:
        filtered = {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": FILTERED}
        return {"response": filtered}
    if "moderated" in failures:
        return {"error": {"code": 3, "message": BLOCKED}}
    return {"error": {"code": 13, "message": "Internal error"}}
