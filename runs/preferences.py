"""What a workspace prefers for all of its runs: said once, by who sees all of it.

A run's own words come first, then its workflow's, then these, then the platform's. How long files
and workflows are kept holds for what ends, or is uploaded, from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from audit import log
from common.errors import InvalidRequest
from common.money import Micros
from runs import workflows
from runs.models import Preferences

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from runs.models import Run

NAMES: Final = ("keep_days", "max_micros", "accelerator", "drops_workflows", "leaves_in_files")


@dataclass(frozen=True, slots=True)
class Preferred:
    """What a workspace said; None and the empty label: as the platform has it."""

    keep_days: int | None = None
    max_micros: Micros | None = None
    accelerator: str = ""
    drops_workflows: bool = False
    leaves_in_files: bool = False
    """Whether a dropped workflow stays in the files that it made, as a ComfyUI writes it there."""

    @property
    def strips_files(self) -> bool:
        """Whether workflows are taken out of what runs made."""
        return self.drops_workflows and not self.leaves_in_files

    @property
    def kept(self) -> timedelta:
        """For how long what ends now is kept: never longer than the operator allows by now."""
        days = self.keep_days or settings.RUNS_KEEP_DAYS
        return timedelta(days=min(days, most_days()))


def most_days() -> int:
    """Return for how many days a workspace may have its files kept."""
    return max(settings.RUNS_MOST_KEEP_DAYS, settings.RUNS_KEEP_DAYS)


def of(workspace_id: UUID) -> Preferred:
    """Return what a workspace prefers."""
    found = Preferences.objects.filter(pk=workspace_id).values_list(*NAMES).first()
    return Preferred(*found) if found else Preferred()


@transaction.atomic
def change(workspace_id: UUID, wanted: Mapping[str, object], *, by: UUID) -> Preferred:
    """Have a workspace prefer that from now on; what is not named stays. Return all of it.

    Raises InvalidRequest for days that the operator does not allow, no label, or no amount.
    """
    Preferences.objects.get_or_create(pk=workspace_id)
    row = Preferences.objects.select_for_update().get(pk=workspace_id)
    before = {name: getattr(row, name) for name in NAMES}
    for name in set(wanted) & set(NAMES):
        setattr(row, name, wanted[name])
    _check(row)
    after = {name: getattr(row, name) for name in NAMES}
    if after != before:
        row.save()
        log.note(
            "runs.preferences_changed",
            actor=by,
            workspace=workspace_id,
            target=workspace_id,
            before=before,
            after=after,
        )
    return Preferred(**after)


def _check(row: Preferences) -> None:
    most = most_days()
    if row.keep_days is not None and not 1 <= row.keep_days <= most:
        raise InvalidRequest(
            gettext("keep_days: from 1 to %(most)s, or nothing for as usual here.") % {"most": most}
        )
    if row.max_micros is not None and row.max_micros <= 0:
        raise InvalidRequest(gettext("The most that a run may cost is more than nothing."))
    if not workflows.LABEL.fullmatch(row.accelerator):
        raise InvalidRequest(gettext("accelerator: a label like A100_80GB."))


def forget_workflow(run: Run) -> None:
    """Have a run that ends hold nothing any more of what was asked to be run; it is not saved."""
    run.graph, run.files = None, {}
    run.extra = {name: run.extra[name] for name in run.extra if name != EMBEDDED}


EMBEDDED: Final = "extra_pnginfo"
"""In it ComfyUI's page sends the workflow a second time."""
