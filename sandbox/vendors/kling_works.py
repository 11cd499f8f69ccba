"""What can be submitted to Kling: what each work must be given, what it makes, and how it refuses.

Models that the vendor has retired are served: a mirror may still have them. What a work deducts is
plausible, not the vendor's list.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.far_side import Desk
from sandbox.media import Media, look, size
from sandbox.vendor import Body, RefusedError

UNITS_PER_SECOND = {"std": 0.4, "pro": 0.7, "4k": 3.0}
UNITS_PER_PICTURE = 1
MODES = ("std", "pro", "4k")
FIVE_OR_TEN = ("5", "10")
THREE_TO_FIFTEEN = ("5", *(str(seconds) for seconds in range(3, 16)))
CODES: dict[int, tuple[int, str]] = {
    1000: (401, "Authentication failed"),
    1001: (401, "Authorization is empty"),
    1002: (401, "Authorization is invalid"),
    1003: (401, "Authorization is not yet valid"),
    1004: (401, "Authorization has expired"),
    1100: (429, "Account exception"),
    1101: (429, "Account in arrears"),
    1102: (429, "Account balance not enough: resource pack depleted or expired"),
    1103: (403, "Unauthorized access to requested resource"),
    1200: (400, "Invalid request parameters"),
    1201: (400, "Invalid parameters"),
    1202: (404, "The requested method is invalid"),
    1203: (404, "The requested resource does not exist"),
    1300: (400, "Trigger strategy of the platform"),
    1301: (400, "Trigger the content security policy of the platform"),
    1302: (429, "The API request is too fast, exceeding the platform rate limit"),
    1303: (429, "Concurrency or QPS exceeds the prepaid resource package limit"),
    1304: (429, "Trigger the platform's IP whitelisting policy"),
    5000: (500, "Server internal error"),
    5001: (503, "Server temporarily unavailable, usually due to maintenance"),
    5002: (504, "Server internal timeout, usually due to a backlog"),
}


def by_code(code: int | None, said: str | None = None) -> RefusedError:
    """Refuse by the vendor's own code, 1303 (too many at once) where none is named."""
    code = 1303 if code is None else code
    status, usual = CODES.get(code, (400, "Unknown"))
    return RefusedError(status, (code, said or usual))


def wrong(said: str) -> RefusedError:
    """Refuse a parameter, and say which."""
    return by_code(1201, said)


def field(body: Body, path: str) -> object:
    """Return a field of a body by its dotted path, None where there is none."""
    value: object = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to submit to."""

    path: str
    required: tuple[str, ...]
    makes: Callable[[Body], tuple[Media, ...]]
    models: tuple[str, ...] = ()
    earlier: str = ""
    """The field that names an earlier video of the account's own."""
    plain: tuple[str, ...] = ()
    """The fields that hold an address or bare base64, never a data URI."""

    @property
    def is_new(self) -> bool:
        """Whether it is of the vendor's newer design: the model in the path, other words."""
        return not self.path.startswith("/v1/")

    def checked(self, body: Body | None, desk: Desk) -> Body:
        """Give the body back when it can be used; complain about the first thing that is wrong."""
        if body is None:
            raise by_code(1200, "Request body is not a JSON object")
        for name in self.required:
            if not field(body, name):
                raise wrong(f"{name} can't be empty")
        model = body.get("model_name")
        if self.models and model is not None and model not in self.models:
            raise by_code(1203, f"model_name {model!r} is not found")
        for name in self.plain:
            if str(field(body, name)).startswith("data:"):
                raise wrong(f"{name} must be base64 without a prefix, or an address")
        named = field(body, self.earlier) if self.earlier else None
        if named is not None and not _made_before(str(named), desk):
            raise wrong(f"{self.earlier} {named!r} is not found")
        return body


def video_id(task_id: str) -> str:
    """Name the video that a task made."""
    return str(int(task_id) + 1)


def _made_before(named: str, desk: Desk) -> bool:
    number = int(named) if named.isdecimal() and len(named) < 20 else 0
    job = desk.jobs.find(str(number - 1))
    return job is not None and job.ending == "done" and job.makes[0].format == "mp4"


def units(body: Body, makes: tuple[Media, ...]) -> float:
    """Say what a work deducts from the account's resource pack."""
    if makes[0].format == "png":
        return UNITS_PER_PICTURE * len(makes)
    pro = field(body, "settings.resolution") == "1080p"
    mode = body.get("mode") or field(body, "input.mode") or ("pro" if pro else "std")
    each = UNITS_PER_SECOND.get(str(mode), UNITS_PER_SECOND["std"])
    return round(each * makes[0].seconds, 2)


def _choice(body: Body, path: str, values: tuple[str, ...]) -> str:
    """Return one of the values, the first where the field is missing."""
    value = field(body, path)
    if value is None:
        return values[0]
    if value not in values:
        raise wrong(f"{path} value {value!r} is invalid")
    return str(value)


def _whole(body: Body, path: str, *, least: int, most: int, default: int) -> int:
    value = field(body, path)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(f"{path} must be a whole number from {least} to {most}")
    return value


def _film(body: Body, seconds: float, *, inside: str = "") -> tuple[Media, ...]:
    width, height = size({"aspect_ratio": field(body, f"{inside}aspect_ratio")}, default=(16, 9))
    return (Media("mp4", look=look(str(body)), width=width, height=height, seconds=seconds),)


def _usual_film(body: Body) -> tuple[Media, ...]:
    newest = str(body.get("model_name")).startswith("kling-v3")
    if _choice(body, "mode", MODES) == "4k" and not newest:
        raise wrong("mode 4k is not supported by this model")
    lengths = THREE_TO_FIFTEEN if newest else FIVE_OR_TEN
    return _film(body, float(_choice(body, "duration", lengths)))


def _omni_film(body: Body) -> tuple[Media, ...]:
    _choice(body, "mode", MODES)
    return _film(body, float(_choice(body, "duration", THREE_TO_FIFTEEN)))


def _effect(body: Body) -> tuple[Media, ...]:
    return _film(body, float(_choice(body, "input.duration", FIVE_OR_TEN)))


def _film_like_its_input(body: Body) -> tuple[Media, ...]:
    """Make five seconds: how long the input is stays unknown, since nothing is fetched here."""
    _choice(body, "mode", MODES[:2])
    return _film(body, 5.0)


def _lip_sync(body: Body) -> tuple[Media, ...]:
    _choice(body, "input.mode", ("text2video", "audio2video"))
    if not (field(body, "input.video_id") or field(body, "input.video_url")):
        raise wrong("input.video_id and input.video_url can't be empty at the same time")
    return _film(body, 5.0)


def _new_film(body: Body) -> tuple[Media, ...]:
    _choice(body, "settings.resolution", ("720p", "1080p"))
    seconds = _whole(body, "settings.duration", least=3, most=15, default=5)
    return _film(body, float(seconds), inside="settings.")


def _new_film_of_a_picture(body: Body) -> tuple[Media, ...]:
    contents = body.get("contents")
    given = contents if isinstance(contents, list) else []
    frames = [
        each for each in given if isinstance(each, dict) and each.get("type") == "first_frame"
    ]
    if len(frames) != 1 or not frames[0].get("url"):
        raise wrong("contents must have one first_frame with a url")
    return _new_film(body)


def _pictures(body: Body) -> tuple[Media, ...]:
    series = body.get("result_type") == "series"
    counted, least, default = ("series_amount", 2, 4) if series else ("n", 1, 1)
    count = _whole(body, counted, least=least, most=9, default=default)
    width, height = size(body, default=(16, 9))
    looks = (look(str(body), number) for number in range(count))
    return tuple(Media("png", look=each, width=width, height=height) for each in looks)


FILMS = (
    "kling-v1",
    "kling-v1-5",
    "kling-v1-6",
    "kling-v2-master",
    "kling-v2-1",
    "kling-v2-1-master",
    "kling-v2-5-turbo",
    "kling-v2-6",
    "kling-v3",
)
PICTURES = ("kling-v1", "kling-v1-5", "kling-v2", "kling-v2-new", "kling-v2-1", "kling-v3")
TRY_ON = ("kolors-virtual-try-on-v1", "kolors-virtual-try-on-v1-5")
DRESSED, LIKENESS = ("human_image", "cloth_image"), ("image", "image_tail")
MOVES = ("image_url", "video_url", "character_orientation", "mode")
WORKS = (
    Work("/v1/videos/text2video", ("prompt",), _usual_film, FILMS),
    Work("/v1/videos/image2video", ("image",), _usual_film, FILMS, plain=LIKENESS),
    Work("/v1/videos/omni-video", ("prompt",), _omni_film, ("kling-video-o1", "kling-v3-omni")),
    Work("/v1/videos/video-extend", ("video_id",), _film_like_its_input, earlier="video_id"),
    Work("/v1/videos/lip-sync", ("input.mode",), _lip_sync, earlier="input.video_id"),
    Work("/v1/videos/effects", ("effect_scene", "input"), _effect),
    Work("/v1/videos/motion-control", MOVES, _film_like_its_input, ("kling-v2-6", "kling-v3")),
    Work("/v1/videos/avatar/image2video", ("image",), _film_like_its_input, plain=("image",)),
    Work("/v1/images/generations", ("prompt",), _pictures, PICTURES, plain=("image",)),
    Work("/v1/images/kolors-virtual-try-on", DRESSED[:1], _pictures, TRY_ON, plain=DRESSED),
    Work("/v1/images/omni-image", ("prompt",), _pictures, ("kling-image-o1", "kling-v3-omni")),
    Work("/text-to-video/kling-3.0-turbo", ("prompt",), _new_film),
    Work("/image-to-video/kling-3.0-turbo", ("contents",), _new_film_of_a_picture),
)
