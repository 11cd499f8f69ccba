"""Machines for runs: how each stands and what it earned; registered, drained, taken away.

They are changed by the functions that `manage.py worker` calls. A token is written, never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django import forms
from django.shortcuts import render
from django.urls import reverse

from accounts.models import Workspace
from common import ids
from dashboard.forms import DollarsField
from desk.roles import Right
from runs import scrubbing, standing, workers
from staff.pages import About, ReasonForm, act, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

MOST_TOKEN = workers.MOST_TOKEN
MOST_NODES = 32 << 20
"""Bytes of what a ComfyUI says of its nodes: a large one has some 10 MiB."""


@page(Right.READ)
def machine_list(request: HttpRequest) -> HttpResponse:
    """Show all machines, and what waits for them."""
    found, waits = standing.machines(), standing.queue()
    shown = {
        "machines": found,
        "queue": waits,
        "slots": sum(each.worker.slots for each in found if each.state == "up"),
        "earned": sum(each.earned for each in found),
        "days": standing.DAYS,
    }
    return render(request, "staff/machines.html", shown)


def about_all() -> About:
    """Return what a new machine is about."""
    return About("Machines", reverse("staff:machines"))


def about(name: str) -> About:
    """Return which machine is meant."""
    found = workers.find(name)
    facts = [
        ("Machine", found.name),
        ("Address", found.base_url),
        ("Accelerator", found.accelerator),
        ("Now", found.state),
    ]
    return About("Machines", reverse("staff:machines"), facts)


class LinesField(forms.CharField):
    """Texts, one a line; whoever asks the form gets each without spaces around it."""

    def __init__(self, label: str, help_text: str, *, initial: str = "") -> None:
        widget = forms.Textarea({"rows": 3, "spellcheck": "false"})
        super().__init__(
            label=label, help_text=help_text, initial=initial, required=False, max_length=4000,
            widget=widget,
        )  # fmt: skip

    def clean(self, value: Any) -> Any:
        """Return them."""
        lines = (each.strip() for each in super().clean(value).splitlines())
        return tuple(each for each in lines if each)


class NodesField(forms.FileField):
    """A file of nodes, as a ComfyUI tells them; whoever asks the form gets them, or None."""

    def __init__(self, *, help_text: str, required: bool = True) -> None:
        super().__init__(
            label="Its nodes", required=required, help_text=help_text, max_length=200,
            widget=forms.FileInput({"accept": ".json,application/json"}),
        )  # fmt: skip

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return them. Raises ValidationError for a file that is none of nodes."""
        sent = super().clean(data, initial)
        if not sent:
            return None
        if sent.size > MOST_NODES:
            raise forms.ValidationError(f"Such a file has at most {MOST_NODES >> 20} MiB.")
        try:
            found = orjson.loads(sent.read())
        except ValueError:
            found = None
        if not isinstance(found, dict) or not found:
            raise forms.ValidationError("That is not what a ComfyUI answers at /object_info.")
        return found


class NodesForm(ReasonForm):
    """What a machine of the dialect v2 has of nodes by now."""

    nodes = NodesField(help_text="What the ComfyUI behind it answers at /object_info.")
    field_order = ("nodes", "reason")


class MachineForm(ReasonForm):
    """What an operator says of a machine."""

    name = forms.CharField(label="Name", max_length=60, help_text="Of a-z, 0-9, dot and dash.")
    base_url = forms.CharField(
        label="Address",
        max_length=300,
        help_text="Like http://10.0.0.7:8188. Only we should be able to reach it.",
    )
    token = forms.CharField(
        label="Token",
        max_length=MOST_TOKEN,
        required=False,
        help_text="What it asks for. It is shown to nobody again.",
        widget=forms.PasswordInput({"autocomplete": "off"}),
    )
    user = forms.CharField(
        label="User",
        max_length=workers.MOST_USER,
        required=False,
        help_text="If it asks for Basic: the token is this user's password.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    nodes = NodesField(
        required=False,
        help_text="Only for a comfy-api-proxy: what the ComfyUI behind it answers at /object_info, "
        "as a file. With it, the machine speaks Comfy API v2.",
    )
    accelerator = forms.CharField(
        label="Accelerator", max_length=32, help_text="A label like A100_80GB: runs ask for it."
    )
    slots = forms.IntegerField(
        label="Slots", min_value=1, max_value=workers.MOST_SLOTS, initial=1,
        help_text="Prompts that may be on it at once. A ComfyUI works on one.",
    )  # fmt: skip
    per_second = DollarsField(label="Price of a second")
    minimum = DollarsField(label="Least for a run", required=False)
    per_output = DollarsField(label="Price of a file", required=False)
    reserved = forms.CharField(
        label="Only for",
        required=False,
        max_length=4000,
        help_text="Ids of workspaces, one a line. Empty: it is everybody's. Names keep files of "
        "workspaces apart, and the code of custom nodes may read all: reserve it for strangers.",
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )
    allowed = LinesField(
        "Allowed node classes", "Patterns like Load*, one a line. Empty: all that are not denied."
    )
    denied = LinesField("Denied node classes", "Patterns, one a line.")
    shared = LinesField(
        "Shared inputs",
        "Files of its own input folder that every run may load, one a line.",
        initial="example.png",
    )
    keeps_files = forms.BooleanField(
        label="Wipe nothing there",
        required=False,
        help_text="Else what a run left there is written over once it is stored here.",
    )
    field_order = (
        "name", "base_url", "token", "user", "nodes", "accelerator", "slots", "per_second",
        "minimum", "per_output", "reserved", "allowed", "denied", "shared", "keeps_files", "reason",
    )  # fmt: skip

    def clean_reserved(self) -> tuple[UUID, ...]:
        """Return the workspaces, if there are such."""
        found = []
        for line in self.cleaned_data["reserved"].split():
            wanted = ids.read(line)
            if wanted is None or not Workspace.objects.filter(pk=wanted).exists():
                raise forms.ValidationError(f"There is no workspace {line[:40]}.")
            found.append(wanted)
        return tuple(found)


@act(
    Right.OPERATE, title="Register a machine", button="Register it", about=about_all,
    form=MachineForm, lead="Runs go there once the runner has seen it up.",
)  # fmt: skip
def add_machine(request: HttpRequest, given: dict[str, Any]) -> str:
    """Have a machine be a worker."""
    terms = workers.Terms(
        base_url=given["base_url"].strip(),
        accelerator=given["accelerator"].strip(),
        micros_per_second=given["per_second"],
        minimum_micros=given["minimum"] or 0,
        micros_per_output=given["per_output"] or 0,
        slots=given["slots"],
        reserved_for=given["reserved"],
        scrubs=not given["keeps_files"],
        user=given["user"],
        allowed_classes=given["allowed"],
        denied_classes=given["denied"],
        shared_inputs=given["shared"],
        dialect="v2" if given["nodes"] is not None else "native",
    )
    made = workers.add(
        given["name"].strip(),
        terms,
        token=given["token"],
        nodes=given["nodes"],
        by=who(request),
        reason=given["reason"],
    )
    return f"{made.name} is registered: runs go there once it was seen up."


@act(
    Right.OPERATE, title="Its nodes", button="Hand them over", about=about, form=NodesForm,
    lead="A comfy-api-proxy does not tell of its nodes. Hand them over again when they changed.",
)  # fmt: skip
def hand_over_nodes(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Note what a machine behind a proxy has of nodes by now."""
    changed = workers.hand_over_nodes(name, given["nodes"], by=who(request), reason=given["reason"])
    return f"The nodes of {name} are noted." if changed else f"{name} had these before."


@act(
    Right.OPERATE, title="Drain a machine", button="Drain it", about=about,
    lead="It gets no new runs. What runs there ends there.",
)  # fmt: skip
def drain_machine(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Give a machine no new runs."""
    changed = workers.drain(name, by=who(request), reason=given["reason"])
    return f"{name} gets no new runs." if changed else f"{name} got none before."


@act(Right.OPERATE, title="Give a machine runs again", button="Take it back", about=about)
def take_machine_back(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Give a drained machine runs again."""
    changed = workers.take_back(name, by=who(request), reason=given["reason"])
    return f"{name} gets runs again." if changed else f"{name} got some before."


@act(
    Right.OPERATE, title="Remove a machine", button="Remove it", about=about, is_grave=True,
    lead="For good. What runs there now is lost to it, is not charged, and runs elsewhere once "
    "more. Drain it first to let these end.",
)  # fmt: skip
def remove_machine(request: HttpRequest, given: dict[str, Any], name: str) -> str:
    """Have a machine be none any more."""
    runs = scrubbing.left(workers.find(name))
    workers.remove(name, by=who(request), reason=given["reason"])
    left = f" Files of {runs} runs are on it still, in mc and mc-models." if runs else ""
    return f"{name} is removed.{left}"
