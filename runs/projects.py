"""The project of a run, given afterwards: by who made it, or who sees all of its workspace.

A press of Run in ComfyUI is known by its `Comfy-Job-Id`. A run on a machine has calls under two
names, its own and the one that its machine knows it by: all of them follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext

from audit import log
from common import ids
from common.errors import InvalidRequest, NotFound
from runs.models import Run
from usage import projects

if TYPE_CHECKING:
    from uuid import UUID

MOST: Final = 64


@transaction.atomic
def give(
    workspace_id: UUID,
    run_id: str,
    project: str | None,
    *,
    by: UUID | None,
    user_id: UUID | None = None,
) -> str:
    """Have a run be of a project; return the name it has now. Empty: of none; None: it stays.

    Of that person's, if one is named. Its calls and all sums of them follow, in this transaction;
    limits that its calls were under stay as they were judged. Raises NotFound for a run that is
    not there, InvalidRequest for one on a machine that has not ended.
    """
    if "\0" in run_id:
        raise NotFound(gettext("There is no such run, or none of its calls has ended."))
    machine = _on_a_machine(workspace_id, run_id, user_id)
    names = {run_id} if machine is None else {str(machine.pk), str(machine.prompt_id)}
    now = projects.of(workspace_id, names, user_id=user_id)
    if machine is None and now is None:
        raise NotFound(gettext("There is no such run, or none of its calls has ended."))
    had = now or "" if machine is None else machine.project
    if project is None:
        return had
    name = _named(project)
    before = projects.give(workspace_id, names, project=name, user_id=user_id)
    if machine is not None:
        Run.objects.filter(pk=machine.pk).update(project=name)
    if had != name or any(each.project != name for each in before):
        log.note(
            "run.project_given",
            actor=by,
            workspace=workspace_id,
            target=run_id,
            before={"project": had},
            after={"project": name, "calls": sum(each.calls for each in before)},
        )
    return name


def _named(project: str) -> str:
    name = " ".join(project.replace("\0", "").split())
    if len(name) > MOST:
        raise InvalidRequest(
            gettext("A project has a name of at most %(most)s characters.") % {"most": MOST}
        )
    return name


def _on_a_machine(workspace_id: UUID, run_id: str, user_id: UUID | None) -> Run | None:
    """Return the run on a machine that has this name, if one has; locked until the end."""
    if (known := ids.read(run_id)) is None:
        return None
    named = Q(pk=known) | Q(asked_id=known) | Q(prompt_id=known)
    found = Run.objects.select_for_update().filter(named, workspace_id=workspace_id)
    run = (found if user_id is None else found.filter(user_id=user_id)).first()
    if run is not None and not run.has_ended:
        raise InvalidRequest(gettext("The run has not ended. It is given a project then."))
    return run
