"""Workflows by name: made, given a new version, found, taken away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext

from audit import log
from common.errors import BodyTooLarge, InvalidRequest, InvalidWorkflow, NotFound
from runs import graph as graphs
from runs.models import Workflow, WorkflowVersion

if TYPE_CHECKING:
    from uuid import UUID

    from common.money import Micros

MOST_NAME: Final = 100
MOST_WORKFLOWS: Final = 1000
MOST_VERSIONS: Final = 1000
MOST_BYTES: Final = 4 << 20
LABEL: Final = re.compile(r"[A-Za-z0-9._-]{0,32}")
WIDGETS: Final = (str, int, float, bool)


def one(workspace_id: UUID, workflow_id: UUID) -> Workflow:
    """Return a workflow of the workspace, or raise NotFound."""
    found = Workflow.objects.filter(workspace_id=workspace_id, pk=workflow_id, removed_at=None)
    workflow = found.first()
    if workflow is None:
        raise NotFound(gettext("There is no such workflow."))
    return workflow


def all_of(workspace_id: UUID) -> list[Workflow]:
    """Return the workflows of a workspace, by name."""
    found = Workflow.objects.filter(workspace_id=workspace_id, removed_at=None)
    return list(found.order_by("name"))


def newest(workflow: Workflow) -> WorkflowVersion:
    """Return the version that runs."""
    return WorkflowVersion.objects.filter(workflow=workflow).latest("number")


def make(
    workspace_id: UUID,
    *,
    name: str,
    graph: object,
    by: UUID,
    accelerator: str = "",
    max_micros: Micros | None = None,
) -> Workflow:
    """Keep a workflow under a name; its graph is its first version."""
    name = _named(name)
    _check(accelerator, max_micros)
    nodes = _pinned(graph)
    try:
        with transaction.atomic():
            workflow = Workflow.objects.create(
                workspace_id=workspace_id,
                made_by=by,
                name=name,
                accelerator=accelerator,
                max_micros=max_micros,
            )
            WorkflowVersion.objects.create(
                workflow=workflow, number=1, graph=nodes, form=form_of(nodes), made_by=by
            )
            if Workflow.objects.filter(workspace_id=workspace_id).count() > MOST_WORKFLOWS:
                raise InvalidRequest(
                    gettext("A workspace has at most %(most)s workflows.")
                    % {"most": MOST_WORKFLOWS}
                )
            log.note("workflow.made", actor=by, workspace=workspace_id, target=workflow.pk)
    except IntegrityError:
        raise _taken() from None
    return workflow


def change(
    workflow: Workflow,
    *,
    name: str | None = None,
    accelerator: str | None = None,
    max_micros: Micros | Literal["as it is"] | None = "as it is",
    by: UUID,
) -> Workflow:
    """Have it another name, or other defaults; what is not given stays. Versions are not touched.

    Raises NotFound where it was taken away meanwhile, and InvalidRequest for a name that is taken.
    """
    now: dict[str, Any] = {}
    if name is not None:
        now["name"] = _named(name)
    if accelerator is not None:
        now["accelerator"] = accelerator
    if max_micros != "as it is":
        now["max_micros"] = max_micros
    _check(now.get("accelerator", ""), now.get("max_micros"))
    before = {each: getattr(workflow, each) for each in now}
    if before == now:
        return workflow
    try:
        with transaction.atomic():
            living = Workflow.objects.filter(pk=workflow.pk, removed_at=None)
            if not living.update(**now):
                raise NotFound(gettext("There is no such workflow."))
            log.note(
                "workflow.changed",
                actor=by,
                workspace=workflow.workspace_id,
                target=workflow.pk,
                before=before,
                after=now,
            )
    except IntegrityError:
        raise _taken() from None
    return one(workflow.workspace_id, workflow.pk)


def versions(workflow: Workflow) -> list[WorkflowVersion]:
    """Return its versions, the newest first, without their graphs."""
    found = WorkflowVersion.objects.filter(workflow=workflow).defer("graph", "form")
    return list(found.order_by("-number"))


def version(workflow: Workflow, number: str) -> WorkflowVersion:
    """Return one of its versions, or raise NotFound."""
    is_number = number.isascii() and number.isdecimal() and len(number) < 9
    numbered = WorkflowVersion.objects.filter(workflow=workflow)
    found = numbered.filter(number=int(number)).first() if is_number else None
    if found is None:
        raise NotFound(gettext("There is no such version of this workflow."))
    return found


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= MOST_NAME or "\0" in name:
        raise InvalidRequest(
            gettext("A workflow needs a name of at most %(most)s characters.") % {"most": MOST_NAME}
        )
    return name


def _check(accelerator: str, max_micros: int | None) -> None:
    if not LABEL.fullmatch(accelerator):
        raise InvalidRequest(gettext("accelerator: a label like A100_80GB."))
    if max_micros is not None and max_micros <= 0:
        raise InvalidRequest(gettext("The most that a run may cost is more than nothing."))


def _pinned(graph: object) -> graphs.Graph:
    """Return a graph that may be kept; raise WorkflowFormatUi, InvalidWorkflow or BodyTooLarge."""
    nodes = graphs.read(graph)
    if graphs.holds_nul(nodes):
        raise InvalidWorkflow(gettext("No text of a workflow may hold the character NUL."))
    if len(orjson.dumps(nodes)) > MOST_BYTES:
        raise BodyTooLarge(
            gettext("A workflow has at most %(most)s MiB.") % {"most": MOST_BYTES >> 20}
        )
    return nodes


def _taken() -> InvalidRequest:
    return InvalidRequest(gettext("There is a workflow of that name here. Choose another."))


@transaction.atomic
def give_version(workflow: Workflow, graph: object, *, by: UUID) -> WorkflowVersion:
    """Have a graph be what runs from now on; what ran before stays what it was."""
    nodes = _pinned(graph)
    living = Workflow.objects.select_for_update().filter(pk=workflow.pk, removed_at=None)
    if not living.exists():
        raise NotFound(gettext("There is no such workflow."))
    last = workflow.versions.aggregate(last=Max("number"))["last"] or 0
    if last >= MOST_VERSIONS:
        raise InvalidRequest(
            gettext("A workflow has at most %(most)s versions. Make another one.")
            % {"most": MOST_VERSIONS}
        )
    version = WorkflowVersion.objects.create(
        workflow=workflow, number=last + 1, graph=nodes, form=form_of(nodes), made_by=by
    )
    log.note(
        "workflow.changed",
        actor=by,
        workspace=workflow.workspace_id,
        target=workflow.pk,
        after={"version": version.number},
    )
    return version


@transaction.atomic
def remove(workflow: Workflow, *, by: UUID) -> bool:
    """Have a workflow be none any more; False if it was none."""
    living = Workflow.objects.filter(pk=workflow.pk, removed_at=None)
    if not living.update(removed_at=timezone.now()):
        return False
    log.note("workflow.removed", actor=by, workspace=workflow.workspace_id, target=workflow.pk)
    return True


def form_of(graph: graphs.Graph) -> list[dict[str, Any]]:
    """Return the inputs that a person may want to change: all plain values, as they are now."""
    return [
        {
            "node": node_id,
            "input": name,
            "label": f"{_title(node)}: {name}",
            "value": value,
        }
        for node_id, node in graph.items()
        for name, value in node.get("inputs", {}).items()
        if isinstance(value, WIDGETS)
    ]


def _title(node: dict[str, Any]) -> str:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return title[:100] if isinstance(title, str) and title else node["class_type"]
