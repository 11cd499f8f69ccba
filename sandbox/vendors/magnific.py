"""Magnific (Freepik): a task of each kind at an address of its own, asked for below it.

    POST /v1/ai/<work>            -> {"data": {"task_id", "status": "CREATED", "generated": []}}
    GET  /v1/ai/<work>/<task_id>  -> the same; when it is done, with addresses in "generated"

A style transfer answers without "data", and says `task_status`. An error is {"message"}.
"""

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.jobs import Job
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

FACTORS = ("2x", "4x", "8x", "16x")
WORDS = {None: "IN_PROGRESS", "done": "COMPLETED"}
ERRORS = {"content_moderated": "NSFW content detected", "moderated": "Blocked by content policy"}
NEEDED: dict[str, dict[str, object]] = {
    "image-upscaler": {"scale_factor": FACTORS},
    "image-upscaler-precision-v2": {"scale_factor": (2, 4, 8, 16)},
    "image-relight": {},
    "image-style-transfer": {},
    "skin-enhancer/creative": {},
    "skin-enhancer/faithful": {},
    "skin-enhancer/flexible": {},
}
POLLS = (
    "image-upscaler",
    "image-upscaler-precision-v2",
    "image-relight",
    "image-style-transfer",
    "skin-enhancer",
)


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(code if code in works.USUAL else 402)


def _submit(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a task."""
        body = works.asked(exchange)
        works.given(body, "image")
        if work == "image-style-transfer":
            works.given(body, "reference_image")
        for name, among in NEEDED[work].items():
            assert isinstance(among, tuple), "they are choices"
            works.one_of(body, name, among)
        if "webhook_url" in body:
            raise RefusedError(400, "The sandbox calls nobody back")
        return _told(exchange, works.start(exchange, "png", work=work.partition("/")[0]))

    return Route("POST", f"/v1/ai/{work}", Kind.SUBMIT, serve)


def _poll(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Tell where a task of this kind stands."""
        job = works.find(exchange)
        if job.facts["work"] != work:
            raise RefusedError(404)
        return _told(exchange, job)

    return Route("GET", f"/v1/ai/{work}/{{id}}", Kind.POLL, serve)


def _told(exchange: Exchange, job: Job) -> Answer:
    done = job.ending == "done"
    asked_for = exchange.kind is Kind.POLL
    status = WORDS.get(job.ending, "FAILED") if asked_for else "CREATED"
    made = works.addresses(exchange, "freepik", job) if done and asked_for else []
    task: Body = {"task_id": job.id, "generated": made}
    if said := ERRORS.get(job.ending or ""):
        task = {**task, "error": said}
    if job.facts["work"] == "image-style-transfer":
        return Answer.json({**task, "task_status": status})
    return Answer.json({"data": {**task, "status": status}})


MAGNIFIC = Vendor(
    name="freepik",
    credential=in_header("x-magnific-api-key"),
    refuse=works.refusing(
        {402: "You do not have enough credits"}, lambda _, sentence: {"message": sentence}
    ),
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_WORDS,
    ids=frozenset({"task_id"}),
    routes=(
        *(_submit(work) for work in NEEDED),
        *(_poll(work) for work in POLLS),
        works.FILES,
    ),
)
