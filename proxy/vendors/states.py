"""What vendors have in common whose polls state a word: where it stands, and what it means.

A word that clients do not know is said in one that they do; a word that nobody knows is one of a
job that runs. What ended well without a file has failed: there is nothing to hand out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from proxy.dialect import DELIVERING, Judged, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.dialect import Said

BLOCKED = re.compile(
    r"moderat|safety|nsfw|sensitive|inappropriate|polic(y|ies)|prohibited|content.?filter", re.I
)
OUT_OF_CREDIT = re.compile(
    r"(not (have )?enough|insufficient|out of|no more) (\w+ )?(credits?|balance|funds?|quota)"
    r"|insufficient_(credit|fund|balance)|arrear",
    re.I,
)
ID = re.compile(r"[!-~]{1,200}")


def each(value: Any, path: str) -> Iterator[Any]:
    """Yield what stands at a dotted path; `name[]` is each of a list."""
    name, _, rest = path.partition(".")
    found = value.get(name.removesuffix("[]")) if isinstance(value, dict) else None
    listed = (found if isinstance(found, list) else []) if name.endswith("[]") else [found]
    for one in listed:
        if rest:
            yield from each(one, rest)
        elif one is not None:
            yield one


def there(*paths: str) -> Callable[[Any], bool]:
    """Return how it is seen that an answer holds a result: at one of these places."""
    return lambda answer: any(True for path in paths for _ in each(answer, path))


def id_at(path: str) -> Callable[[Any], str | None]:
    """Return how an answer's id is read: a text, or a number."""

    def read(answer: Any) -> str | None:
        found = _text(next(each(answer, path), None))
        return found if found and ID.fullmatch(found) else None

    return read


def _text(value: Any) -> str | None:
    """Return a text, or a number as one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}"
    return value if isinstance(value, str) else None


def assets_at(*places: tuple[str, str]) -> Callable[[Any], list[Asset]]:
    """Return how the ids in an answer are read that later calls name: scopes, and their paths."""

    def read(answer: Any) -> list[Asset]:
        found = [(scope, _text(one)) for scope, path in places for one in each(answer, path)]
        return [(scope, name) for scope, name in found if name and ID.fullmatch(name)]

    return read


def ids_at(*places: tuple[str, str]) -> Callable[[Asked], list[Asset]]:
    """Return how the ids of earlier results are read in a request; one that is none is refused."""

    def read(asked: Asked) -> list[Asset]:
        named = []
        for scope, path in places:
            for one in each(asked.body, path):
                name = _text(one)
                if not name or not ID.fullmatch(name):
                    raise InvalidRequest(f"{path} must be the id of an earlier result.")
                named.append((scope, name))
        return named

    return read


def file_at(*paths: str) -> Callable[[Asked], list[Any]]:
    """Return how the files at these paths are read: as addresses, or objects that hold one.

    An object that names an earlier result beside is none: nobody knows which counts.
    """

    def read(asked: Asked) -> list[Any]:
        found = [one for path in paths for one in each(asked.body, path) if one != ""]
        return [_address(one) if isinstance(one, dict) else one for one in found]

    return read


def _address(named: dict[str, Any]) -> Any:
    given = [value for name, value in named.items() if name not in ("type", "media_type") and value]
    return given[0] if len(given) == 1 else None


def text_at(*paths: str) -> Callable[[Any], str]:
    """Return how the sentence of an error is read: the first text that stands at one of them."""

    def read(answer: Any) -> str:
        found = (one for path in paths for one in each(answer, path))
        return next((one for one in found if isinstance(one, str) and one), "")

    return read


def without(*names: str) -> Callable[[Asked, Mapping[str, Any]], dict[str, Any] | None]:
    """Return how a body is prepared that must not hold these fields."""

    def prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        if not any(name in asked.body for name in names):
            return None
        return {name: value for name, value in asked.body.items() if name not in names}

    return prepare


def saying(
    asked: Asked, body: dict[str, Any] | None, defaults: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return a body that says what it was priced as, where the request left that to the vendor.

    A vendor's own default may be dearer, and may change.
    """
    for path, value in defaults.items():
        body = _said(asked.body if body is None else body, path.split("."), value)
    return None if body == asked.body else body


def _said(body: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    if not rest:
        return body if body.get(name) is not None else {**body, name: value}
    inside = body.get(name)
    inside = {} if inside is None else inside
    return {**body, name: _said(inside, rest, value)} if isinstance(inside, dict) else body


def hiding(*names: str) -> Callable[[Any], Any]:
    """Return how an answer is given without what concerns the operator's account alone."""

    def reply(answer: Any) -> Any:
        if not isinstance(answer, dict):
            return answer
        return {name: value for name, value in answer.items() if name not in names}

    return reply


def by_words(
    says: Callable[[Any], str], *more: tuple[re.Pattern[str], Verdict]
) -> Callable[[Said], Judged | None]:
    """Return the judge of a vendor whose errors have a status, and a sentence that may say more."""
    table = ((OUT_OF_CREDIT, Verdict.OPERATOR), *more)

    def judge(said: Said) -> Judged | None:
        if said.status in DELIVERING:
            return None
        sentence = says(said.json)
        found = (verdict for pattern, verdict in table if pattern.search(sentence))
        verdict = next(found, None)
        return Judged(verdict) if verdict is not None else None

    return judge


def listed(body: dict[str, Any], name: str, *, most: int) -> list[dict[str, Any]]:
    """Return a list of objects of the request, or raise InvalidRequest."""
    found = body.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > most:
        raise InvalidRequest(f"{name} must be a list of at most {most}.")
    if not all(isinstance(one, dict) for one in found):
        raise InvalidRequest(f"{name} must be a list of objects.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """How a vendor's poll says where a job stands."""

    at: str
    """The path of the word."""
    done: tuple[str, ...]
    failed: tuple[str, ...]
    running: tuple[str, ...]
    """The first is what we say of a word that clients do not know."""
    moderated: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    """Of all these, the words that clients do not know."""
    results: tuple[str, ...] = ()
    """The paths of the addresses (or files) of what was made."""
    why: tuple[str, ...] = ()
    """The paths of what is said of a failure."""
    blocked: re.Pattern[str] = BLOCKED
    hidden: tuple[str, ...] = ()
    """Fields of an answer that concern the operator's account."""
    judge_error: Callable[[Said], Judged | None] = lambda _: None
    """What a poll's answer means that states no word."""

    def word(self, answer: Any) -> str | None:
        """Return the word that an answer states."""
        return _text(next(each(answer, self.at), None))

    def judge(self, said: Said) -> Judged | None:
        """Return what a poll's answer means; None for a bad moment."""
        if (judged := self.judge_error(said)) is not None:
            return judged
        if said.status == 404:
            return Judged(Verdict.MISSING)
        word = self.word(said.json) if said.status in DELIVERING else None
        if word is None:
            return None
        if word in self.done:
            return Judged(Verdict.DONE if self.made(said.json) else Verdict.FAILED)
        if word in self.moderated:
            return Judged(Verdict.MODERATED)
        if word in self.failed:
            told = " ".join(f"{one}" for path in self.why for one in each(said.json, path))
            return Judged(Verdict.MODERATED if self.blocked.search(told) else Verdict.FAILED)
        return Judged(Verdict.RUNNING)

    def made(self, answer: Any) -> list[str]:
        """Return the addresses of what was made."""
        found = (_text(one) for path in self.results for one in each(answer, path))
        return [one for one in found if one]

    def reply(self, answer: Any) -> Any:
        """Return a poll's answer in words that clients of every generation know."""
        word = self.word(answer)
        if word is None:
            return answer
        answer = {name: value for name, value in answer.items() if name not in self.hidden}
        known = self._known(word)
        if known == word:
            return answer
        return _put(answer, self.at.split("."), int(known) if known.isdecimal() else known)

    def _known(self, word: str) -> str:
        for words in (self.done, self.failed, self.moderated, self.running):
            if word in words and word not in self.foreign:
                return word
        if word in self.done:
            return self.done[0]
        return self.failed[0] if word in (*self.failed, *self.moderated) else self.running[0]


def _put(answer: dict[str, Any], path: Iterable[str], value: Any) -> dict[str, Any]:
    """Return an answer with another value at a path that is there."""
    name, *rest = path
    return {**answer, name: _put(answer[name], rest, value) if rest else value}
