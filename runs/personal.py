"""What runs know of people (common/personal.py)."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy

from common.personal import Fate, Known, Person
from runs import assets, spending
from runs.models import ENDED, Address, Preferences, Run, Workflow


def _own(person: Person) -> Q:
    return Q(workspace_id__in=person.workspaces)


def _theirs(person: Person) -> Q:
    """Return what is of their workspaces, and what they did in a team."""
    return _own(person) | Q(workspace_id__in=person.others, user_id=person.id)


KNOWN = (
    Known(
        "runs.Run",
        Fate.DELETED,
        gettext_lazy(
            "Workflows that you handed over, with their inputs and what became of them. What they "
            "cost is in the history of calls."
        ),
        whose=_theirs,
        shown=(
            "id", "workspace_id", "state", "graph", "metadata", "accelerator", "webhook_url",
            "created_at", "started_at", "ended_at", "error_message", "gpu_ms", "charged_micros",
        ),
        order=("workspace_id", "-created_at", "-pk"),
    ),
    Known("runs.RunEvent", Fate.DELETED, gettext_lazy("What happened to your runs, step by step.")),
    Known("runs.Preview", Fate.DELETED, gettext_lazy("The last picture of a run that works.")),
    Known(
        "runs.Output",
        Fate.DELETED,
        gettext_lazy("Files that your runs made, where they lie and in the list of them."),
        whose=_own,
        shown=("id", "run_id", "name", "content_type", "size_bytes", "created_at", "expires_at"),
    ),
    Known(
        "runs.Asset",
        Fate.DELETED,
        gettext_lazy("Files that you put here for your runs."),
        whose=_theirs,
        shown=("id", "file_path", "content_type", "size_bytes", "created_at", "expires_at"),
    ),
    Known(
        "runs.Workflow",
        Fate.DELETED,
        gettext_lazy("Workflows that you gave a name."),
        whose=_own,
        shown=("id", "name", "accelerator", "max_micros", "created_at", "removed_at"),
    ),
    Known(
        "runs.Preferences",
        Fate.DELETED,
        gettext_lazy("What you prefer for your runs: how long they are kept, what they may cost."),
        whose=_own,
        shown=(
            "workspace_id", "keep_days", "max_micros", "accelerator", "drops_workflows",
            "leaves_in_files",
        ),
        order=("workspace_id",),
    ),
    Known(
        "runs.Address",
        Fate.DELETED,
        gettext_lazy("Addresses that stand for a key of yours, in scripts that take nothing else."),
        whose=_theirs,
        shown=("id", "key_id", "max_micros", "created_at", "expires_at", "ended_at"),
    ),
    Known(
        "runs.Brought",
        Fate.PASSES,
        "Files of your runs that are being stored; gone with a run's end.",
    ),
    Known("runs.WorkflowVersion", Fate.DELETED, gettext_lazy("Their graphs, version by version.")),
    Known(
        "runs.Worker",
        Fate.NOTHING,
        "The operator's machines.",
        harmless=frozenset({"name", "sealed"}),
    ),
    Known(
        "runs.Trace",
        Fate.PASSES,
        "Where files of your runs lie on a machine; gone once they are wiped there.",
    ),
    Known("runs.WorkerNodes", Fate.NOTHING, "The nodes that these have."),
)  # fmt: skip


def erase(person: Person) -> dict[str, int]:
    """Leave no run, file or workflow of somebody; raises OSError where storage is away."""
    ended = Run.objects.filter(_theirs(person), state__in=ENDED)
    gone = {"files": assets.forget(_theirs(person), Q(run__in=ended)), "runs": ended.count()}
    for run in ended.filter(budget_id__isnull=False):
        spending.forget_budget(run)
    ended.delete()
    Preferences.objects.filter(_own(person)).delete()
    Address.objects.filter(_theirs(person)).delete()
    gone["workflows"] = Workflow.objects.filter(_own(person)).delete()[0]
    return gone


def is_running(person: Person) -> bool:
    """Whether a run of somebody has not ended."""
    return Run.objects.filter(_own(person)).exclude(state__in=ENDED).exists()
