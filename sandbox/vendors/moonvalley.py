"""Moonvalley Marey as it was: three submits, one poll. The service is gone; this is of a mirror.

POST /prompts/text-to-video, .../image-to-video, .../video-to-video -> the prompt
GET  /prompts/<id> -> {"id", "status", "output_url" | "error", "prompt_text", ...}
"""

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.jobs import Job
from sandbox.vendor import Answer, Exchange, Kind, Route, Vendor, in_header

SECONDS = 5
NEEDS = {"text-to-video": "", "image-to-video": "image_url", "video-to-video": "video_url"}
WORDS = {None: "running", "done": "completed"}


def _submit(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a prompt."""
        body = works.asked(exchange)
        works.text(body, "prompt_text")
        if NEEDS[work]:
            works.address(body, NEEDS[work])
        job = works.start(exchange, "mp4", seconds=SECONDS, said=body["prompt_text"])
        return Answer.json(_told(job, "queued"))

    return Route("POST", f"/prompts/{work}", Kind.SUBMIT, serve)


def _told(job: Job, word: str) -> dict[str, object]:
    told: dict[str, object] = {"id": job.id, "status": word, "prompt_text": job.facts["said"]}
    return told | {"model_params": {}, "inference_params": {}}


async def prompt(exchange: Exchange) -> Answer:
    """Tell where a prompt stands."""
    job = works.find(exchange)
    told = _told(job, WORDS.get(job.ending, "error"))
    if job.ending == "done":
        told["output_url"] = works.addresses(exchange, "moonvalley", job)[0]
    elif job.ending is not None:
        told["error"] = {"message": "moderated" if job.ending != "failed" else "it failed"}
    return Answer.json(told)


MOONVALLEY = Vendor(
    name="moonvalley",
    credential=in_header("x-api-key"),
    refuse=works.refusing({}, lambda _, sentence: {"detail": sentence}),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        *(_submit(work) for work in NEEDS),
        Route("GET", "/prompts/{id}", Kind.POLL, prompt),
        works.FILES,
    ),
)
