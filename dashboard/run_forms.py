"""What is filled in to run a workflow: a field for each plain input of it, and what it may cost.

Only what was changed is said to the core, as overrides of the graph. Pressing the button twice is
one intention: the page has a token, and the same inputs under it make one run.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Final

import orjson
from django import forms
from django.utils.translation import gettext_lazy as _

from common.errors import IdempotencyKeyReuse, PlatformError
from dashboard.forms import DollarsField, Form
from runs import assets, core, inputs, isolation, shown, workers, workflows
from runs import graph as graphs
from runs.faces import forms as files_of_forms
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from django.core.files.uploadedfile import UploadedFile

    from accounts.sessions import Session
    from runs.graph import Graph
    from runs.models import Asset, Run

    Source = Mapping[str, str]

FACE: Final = "page"
FILE_OF: Final = "file-"
"""Before the name of a field: that of the file that may be picked for it."""
MOST_FIELDS: Final = 200
"""More are left as they are; the page says so."""
LONG: Final = 60
"""Text from so many characters on, or of several lines, has a large box."""
MOST_TEXT: Final = 100_000
ANYWHERE: Final = (workers.ANY, _("Any that can run it"))
NOWHERE_SAID: Final = ("", _("Any that can run it"))
"""The same where nothing is preferred, and something else may be elsewhere."""


class RunForm(Form):
    """The inputs of a workflow as they are, to be changed."""

    most = DollarsField(
        label=_("Most that it may cost"),
        required=False,
        least="0.000001",
        help_text=_("It is stopped there. Empty: as usual for it."),
    )
    accelerator = forms.ChoiceField(label=_("Machine"), required=False)
    token = forms.CharField(widget=forms.HiddenInput, max_length=32)

    def __init__(
        self,
        *args: Any,
        graph: Graph,
        choices: Mapping[tuple[str, str], list[str] | str],
        accelerators: Sequence[str],
        initial: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        start = {"token": uuid.uuid4().hex, **(initial or {})}
        start["accelerator"] = start.get("accelerator") or workers.ANY
        kwargs["initial"] = start
        super().__init__(*args, **kwargs)
        known = sorted({*accelerators, start["accelerator"]} - {workers.ANY})
        labels: Any = self.fields["accelerator"]
        labels.choices = [ANYWHERE, *((each, each) for each in known)]
        self._graph = graph
        whole = workflows.form_of(graph)
        self.left_out = max(len(whole) - MOST_FIELDS, 0)
        self._places: dict[str, tuple[str, str, Any]] = {}
        self._bytes: dict[str, str] = {}
        for number, each in enumerate(whole[:MOST_FIELDS]):
            name, place = f"in{number}", (each["node"], each["input"])
            self._places[name] = (*place, each["value"])
            self.fields[name] = _field(each, choices.get(place))
            self.initial[name] = each["value"]
            if choices.get(place) == shown.FILE and isinstance(each["value"], str):
                label = _("Or a file of yours: %(input)s") % {"input": each["label"]}
                self.fields[FILE_OF + name] = forms.FileField(label=label, required=False)

    @property
    def inputs(self) -> list[forms.BoundField]:
        """Return the fields of the workflow itself."""
        own = (each for name in self._places for each in (name, FILE_OF + name))
        return [self[name] for name in own if name in self.fields]

    @property
    def sent(self) -> dict[str, UploadedFile[Any]]:
        """Return the files that were picked, by the fields that name them."""
        found = {name: self.cleaned_data.get(FILE_OF + name) for name in self._places}
        return {name: file for name, file in found.items() if file}

    def name(self, field: str, asset: Asset) -> None:
        """Have an input name a file that was stored; what is asked is known by its bytes."""
        self.cleaned_data[field] = asset.file_path
        self._bytes[field] = asset.sha256

    @property
    def changed_inputs(self) -> dict[str, dict[str, Any]]:
        """Return what was said otherwise than it was, by node."""
        found: dict[str, dict[str, Any]] = {}
        for name, (node, key, value) in self._places.items():
            given = self.cleaned_data.get(name)
            given = given.replace("\r\n", "\n") if isinstance(given, str) else given
            if given is not None and (given != value or type(given) is not type(value)):
                found.setdefault(node, {})[key] = given
        return found

    def named_still(self, files: Mapping[str, Source]) -> dict[str, Source]:
        """Return those of a run's files in whose place no input names another one now."""
        given = {node: {"inputs": some} for node, some in self.changed_inputs.items()}
        now = isolation.names_in(graphs.overridden(self._graph, given))
        gone = isolation.names_in(self._graph) - now
        return {path: each for path, each in files.items() if inputs.named(path)[1] not in gone}

    @property
    def intention(self) -> str:
        """Return a name for what is asked: the same for the same, from the same page."""
        data = self.cleaned_data
        whole = [data["token"], self.changed_inputs, data["accelerator"], data["most"], self._bytes]
        said = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS, default=str)
        return f"{FACE}:{hashlib.sha256(said).hexdigest()}"


def handed_over(
    form: RunForm,
    session: Session,
    *,
    graph: Graph | None = None,
    workflow_id: UUID | None = None,
    files: Mapping[str, Source] | None = None,
) -> Run | None:
    """Hand a filled form over; return the run that it made, None where the form says why not.

    `files` are those of a run that was: one that is named no more is left out, for it may be gone.
    """
    if not form.is_valid():
        return None
    by = core.By(workspace_id=session.workspace_id, user_id=session.user.pk)
    try:
        brought = _stored(form, by)
        ask = core.Ask(
            graph=graph,
            workflow_id=workflow_id,
            inputs={node: {"inputs": given} for node, given in form.changed_inputs.items()},
            files={**form.named_still(files or {}), **brought},
            accelerator=form.cleaned_data["accelerator"],
            max_micros=form.cleaned_data["most"],
            face=FACE,
            idempotency_key=form.intention,
        )
        return core.submit(by, ask)
    except IdempotencyKeyReuse as before:  # Its name says all that was asked: it is that run.
        return core.get(session.workspace_id, before.run_id)
    except PlatformError as refusal:
        form.refuse(refusal)
    return None


def _stored(form: RunForm, by: core.By) -> dict[str, dict[str, str]]:
    """Keep the files that were picked, and have the form name them; return them as a run's files.

    Two of one name with other bytes are told apart by their fields.
    """
    found: dict[str, dict[str, str]] = {}
    for field, file in form.sent.items():
        path, measured = files_of_forms.on_disk(file)
        name = str(file.name)
        try:
            asset, _is_new = assets.keep_once(
                by.workspace_id,
                user_id=by.user_id,
                file_path=f"{field}/{name}" if f"{inputs.INPUT}{name}" in found else name,
                content_type=files_of_forms.media(file.content_type),
                arrived=path,
                measured=measured,
            )
        finally:
            shelf.put_away(path)
        form.name(field, asset)
        found[f"{inputs.INPUT}{asset.file_path}"] = {"asset": str(asset.pk)}
    return found


def _field(each: Mapping[str, Any], choices: list[str] | str | None) -> forms.Field:
    """Return a field for one input, by what may be chosen for it, and else by its value."""
    value, label = each["value"], each["label"]
    if isinstance(value, bool):
        return forms.BooleanField(label=label, required=False)
    if isinstance(value, int):
        return _WholeOrNot(label=label)
    if isinstance(value, float):
        return forms.FloatField(label=label, widget=forms.TextInput({"inputmode": "decimal"}))
    if isinstance(choices, list):
        options = choices if value in choices else [value, *choices]
        return forms.ChoiceField(label=label, choices=[(one, one) for one in options])
    is_long = len(value) >= LONG or "\n" in value
    widget = forms.Textarea({"rows": 4}) if is_long else forms.TextInput({"autocomplete": "off"})
    return forms.CharField(
        label=label,
        required=False,
        strip=False,
        max_length=max(MOST_TEXT, len(value)),
        widget=widget,
        help_text=_("A file of this workspace, by its name.") if choices == shown.FILE else "",
    )


class _WholeOrNot(forms.FloatField):
    """A number whose value is whole now: a fraction may be said, too (ComfyUI converts it)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=forms.TextInput({"inputmode": "decimal"}), **options)

    def to_python(self, value: Any) -> Any:
        """Return a whole number exactly, however long it is, and any other as it is."""
        text = str(value).strip() if value is not None else ""
        if (
            len(text) <= 20
            and text.removeprefix("-").isascii()
            and text.removeprefix("-").isdigit()
        ):
            return int(text)
        return super().to_python(value)
