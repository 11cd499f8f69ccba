"""Runs as pages show them: some of a workspace, or of one person in it, with what they came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.translation import gettext

from common import ids
from common.errors import NotFound
from common.money import Micros
from runs import graph as graphs
from runs import isolation, workers
from runs.models import ENDED, Output, Preview, Run, WorkerNodes
from usage.models import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from runs.graph import Graph

MOST_NAMED: Final = 3
MOST_CHOICES: Final = 500
FILE: Final = "file"
"""What is said of an input that names a file, in place of its choices."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A run as a row of a list has it."""

    run: Run
    title: str
    inside: Micros
    """What the calls came to that were made inside."""

    @property
    def total(self) -> Micros:
        """All that it came to so far."""
        return Micros(self.run.charged_micros + self.inside)


def some(
    workspace_id: UUID,
    *,
    user_id: UUID | None = None,
    states: Sequence[str] = (),
    workflow_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> tuple[list[Shown], UUID | None]:
    """Return runs, the newest first, and after which one the next page begins, if there is one.

    Of one person where one is named; `before` is the last one of the page before.
    """
    found = _own(workspace_id, user_id).filter(hidden_at=None)
    if states:
        found = found.filter(state__in=list(states))
    if workflow_id is not None:
        found = found.filter(workflow_version__workflow_id=workflow_id)
    if before is not None:
        last = one(workspace_id, before, user_id=user_id)
        same = Q(created_at=last.created_at, pk__lt=last.pk)
        found = found.filter(Q(created_at__lt=last.created_at) | same)
    newest = found.select_related("workflow_version__workflow").order_by("-created_at", "-pk")
    rows = list(newest.defer("graph", "messages", "files")[: limit + 1])
    page = rows[:limit]
    inside = _inside(workspace_id, page)
    shown = [Shown(run, title(run), inside.get(run.run_key_id, Micros(0))) for run in page]
    return shown, page[-1].pk if len(rows) > limit else None


def one(workspace_id: UUID, run_id: UUID, *, user_id: UUID | None = None) -> Run:
    """Return a run of the workspace (of that person), or raise NotFound."""
    whole = _own(workspace_id, user_id).select_related("workflow_version__workflow", "worker")
    found: Run | None = whole.filter(Q(pk=run_id) | Q(asked_id=run_id)).first()
    if found is None:
        raise NotFound(gettext("There is no such run."))
    return found


def title(run: Run) -> str:
    """Return what a run is called: its workflow's name, or the classes of its nodes."""
    if run.workflow_version is not None:
        return run.workflow_version.workflow.name
    names = ", ".join(run.classes[:MOST_NAMED])
    return f"{names} …" if len(run.classes) > MOST_NAMED else names or gettext("Run")


def output(workspace_id: UUID, run_id: UUID, output_id: UUID, *, user_id: UUID | None) -> Output:
    """Return a file that a run made and that is here still, or raise NotFound."""
    run = one(workspace_id, run_id, user_id=user_id)
    living = Output.objects.filter(run=run, expires_at__gt=timezone.now())
    found = living.filter(pk=output_id).first() if run.state in ENDED else None
    if found is None:
        raise NotFound(gettext("There is no such file, or its time is over."))
    return found


def preview(run: Run) -> Preview | None:
    """Return the newest picture of a run that works."""
    return Preview.objects.filter(run=run).first()


def of_machines(workspace_id: UUID, names: Iterable[str]) -> dict[str, UUID]:
    """Return the runs of the workspace that calls name so: by their ids, or by their machine's."""
    known = [found for each in names if (found := ids.read(each)) is not None]
    own = Q(pk__in=known) | Q(prompt_id__in=known)
    mine = Run.objects.filter(own, workspace_id=workspace_id).values_list("pk", "prompt_id")
    return {str(name): pk for pk, prompt_id in mine for name in (pk, prompt_id) if name}


def accelerators(workspace_id: UUID) -> list[str]:
    """Return the labels of the machines that a workspace's runs may go to."""
    labels = workers.open_to(workspace_id).values_list("accelerator", flat=True)
    return sorted(set(labels))


def choices(workspace_id: UUID, graph: Graph) -> dict[tuple[str, str], list[str] | str]:
    """Return what may be chosen for inputs of a workflow, by node and input; FILE for a file.

    By what a machine says that the workspace's runs may go to; an input of which nothing is said
    may be anything. Neither its input files nor what runs brought are told.
    """
    info = _info(workspace_id, graph)
    known = {node_id: node for node_id, node in graph.items() if node["class_type"] in info}
    found: dict[tuple[str, str], list[str] | str] = {}
    for node_id, node in known.items():
        for name, (kind, said, _) in graphs.inputs_of(info[node["class_type"]]).items():
            if options := _options(graphs.choices_of(kind, said)):
                found[node_id, name] = options
    for node_id, name, _ in isolation.wanted_files(known, info):
        found[node_id, name] = FILE
    return found


def _info(workspace_id: UUID, graph: Graph) -> Mapping[str, Any]:
    wanted = set(graphs.classes(graph))
    open_to = workers.open_to(workspace_id)
    for nodes in WorkerNodes.objects.filter(worker__in=open_to).defer("object_info"):
        if wanted <= set(nodes.classes):
            return workers.object_info(nodes.worker)
    return {}


def _options(choices: list[Any] | None) -> list[str]:
    if choices is None or len(choices) > MOST_CHOICES:
        return []
    return [each for each in isolation.common(choices) if isinstance(each, str)]


def _own(workspace_id: UUID, user_id: UUID | None) -> Any:
    found = Run.objects.filter(workspace_id=workspace_id)
    return found if user_id is None else found.filter(user_id=user_id)


def _inside(workspace_id: UUID, page: Sequence[Run]) -> dict[UUID | None, Micros]:
    """Return by the keys of runs what the calls inside came to, in one question."""
    spent = [run for run in page if run.run_key_id is not None]
    if not spent:
        return {}
    calls = Call.objects.filter(
        workspace_id=workspace_id,
        key_id__in=[run.run_key_id for run in spent],
        settled_at__gte=min(run.created_at for run in spent),
    )
    sums = calls.values("key_id").annotate(sum=Sum("charged_micros"))
    return {each["key_id"]: Micros(each["sum"]) for each in sums}
