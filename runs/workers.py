"""The operator's machines: added, drained, removed; and which of them could take a run."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import Workspace
from audit import log
from common import sealing
from common.errors import AccessDisabled, InvalidRequest, InvalidWorkflow, NotFound, NoWorker
from runs import graph as graphs
from runs import isolation
from runs.models import Worker, WorkerNodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from django.db.models import QuerySet

PURPOSE: Final = b"runs.worker"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
DENIED: Final = ("*DataSet*Folder*", "LoadTrainingDataset*", "LoadImageOutput")
"""Classes that would read what is not the run's own."""
DOWN_FOR: Final = timedelta(minutes=10)
"""With all that fit down for so long, a run is not taken."""
MOST_MICROS: Final = 10**9
MOST_SLOTS: Final = 64
MOST_USER: Final = 60
MOST_TOKEN: Final = 320
"""Bytes of what a machine asks for: its box has room for so many."""
ANY: Final = "any"
"""No label: wherever it can run."""
MOST_MODELS: Final = 10_000
"""Of one folder of a machine."""
LONGEST_MODEL: Final = 300
State = Worker.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an operator says of a worker."""

    base_url: str
    accelerator: str
    micros_per_second: int
    minimum_micros: int = 0
    micros_per_output: int = 0
    slots: int = 1
    dialect: str = Worker.Dialect.NATIVE
    user: str = ""
    """Whom it knows us as, if it asks for Basic; empty: its token is a bearer's."""
    reserved_for: tuple[UUID, ...] = ()
    allowed_classes: tuple[str, ...] = ()
    """Patterns of node classes, like `Load*`; empty: all that are not denied."""
    denied_classes: tuple[str, ...] = ()
    shared_inputs: tuple[str, ...] = ("example.png",)
    scrubs: bool = True


def add(
    name: str,
    terms: Terms,
    *,
    token: str = "",
    nodes: Mapping[str, Any] | None = None,
    by: UUID | None,
    reason: str,
    program: str = "",
) -> Worker:
    """Have a machine be a worker from now on; runs go there once it was seen to be up.

    `nodes` is its ComfyUI's `/object_info`, for a dialect that does not tell of it. `program` is
    by which secret of the operator's it was asked for, where nobody is signed in.
    """
    _check(name, terms)
    _check_lists(terms)
    if (nodes is not None) != (terms.dialect == Worker.Dialect.V2):
        raise InvalidRequest(
            "nodes: of a machine of the dialect v2, what its ComfyUI answers at /object_info; of "
            "another nothing, since it tells them itself."
        )
    if terms.user:
        token = f"{terms.user}:{token}"
    if len(token.encode()) > MOST_TOKEN or isolation.CONTROL.search(token):
        raise InvalidRequest(
            f"A token, with the user before it, has at most {MOST_TOKEN} bytes, all printable."
        )
    sealed = sealing.seal(token, purpose=PURPOSE) if token else ""
    fields = {each: getattr(terms, each) for each in terms.__slots__ if each != "user"}
    fields["is_basic"] = bool(terms.user)
    lists = ("reserved_for", "allowed_classes", "denied_classes", "shared_inputs")
    fields |= {each: list(fields[each]) for each in lists}
    fields["base_url"] = terms.base_url.rstrip("/")
    if terms.dialect == Worker.Dialect.V2:
        fields["scrubs"] = False  # Nothing can be written over there.
    try:
        with transaction.atomic():
            worker = Worker.objects.create(name=name, sealed=sealed, **fields)
            told = {each: fields[each] for each in fields if each not in lists}
            told |= {"reserved_for": [str(each) for each in terms.reserved_for]}
            told |= _program(program)
            log.note("worker.added", actor=by, target=name, after=told, reason=reason)
            if nodes is not None:
                note_nodes(worker, nodes)
    except IntegrityError:
        raise InvalidRequest(f"There is a worker {name!r}, or one at that address.") from None
    return worker


def hand_over_nodes(
    name: str, nodes: Mapping[str, Any], *, by: UUID | None, reason: str, program: str = ""
) -> bool:
    """Note what a machine of the dialect v2 has of nodes by now; False if that is as before."""
    worker = find(name)
    if worker.dialect != Worker.Dialect.V2:
        raise InvalidRequest(f"{name} tells its nodes itself.")
    with transaction.atomic():
        before = len(_classes(worker))
        changed = note_nodes(worker, nodes)
        if changed:
            log.note(
                "worker.nodes_changed",
                actor=by,
                target=name,
                before={"classes": before},
                after={"classes": len(_classes(worker)), **_program(program)},
                reason=reason,
            )
    return changed


def _classes(worker: Worker) -> list[str]:
    known = WorkerNodes.objects.filter(worker=worker).values_list("classes", flat=True).first()
    return known or []


def _program(program: str) -> dict[str, str]:
    return {"program": program} if program else {}


def drain(name: str, *, by: UUID | None, reason: str, program: str = "") -> bool:
    """Have a worker get no new runs; False if it got none before."""
    return _change(name, {State.ACTIVE}, State.DRAINING, "worker.drained", by, reason, program)


def take_back(name: str, *, by: UUID | None, reason: str, program: str = "") -> bool:
    """Have a draining worker get runs again; False if it got some."""
    draining = {State.DRAINING}
    return _change(name, draining, State.ACTIVE, "worker.taken_back", by, reason, program)


def remove(name: str, *, by: UUID | None, reason: str, program: str = "") -> bool:
    """Have a worker be none any more: what runs there is lost to it, and runs elsewhere."""
    living = {State.ACTIVE, State.DRAINING}
    return _change(name, living, State.REMOVED, "worker.removed", by, reason, program)


def find(name: str) -> Worker:
    """Return a worker that is one; raise NotFound."""
    is_name = NAME.fullmatch(name) is not None
    living = Worker.objects.exclude(state=State.REMOVED)
    found = living.filter(name=name).first() if is_name else None
    if found is None:
        raise NotFound(f"There is no worker {name!r}.")
    return found


def living() -> QuerySet[Worker]:
    """Return all workers that are not removed."""
    return Worker.objects.exclude(state=State.REMOVED).order_by("name")


def token_of(worker: Worker) -> str:
    """Return what a worker asks for, of Basic with the user before it; empty if nothing."""
    return sealing.unseal(worker.sealed, purpose=PURPOSE) if worker.sealed else ""


def authorization(worker: Worker) -> str:
    """Return what a worker is shown in the header of that name; empty if nothing."""
    token = token_of(worker)
    if worker.is_basic:
        return f"Basic {base64.b64encode(token.encode()).decode()}"
    return f"Bearer {token}" if token else ""


def reseal() -> int:
    """Have every token sealed by the newest pepper; return how many had an older one."""
    return sealing.reseal(Worker.objects.all(), "sealed", purpose=PURPOSE)


@transaction.atomic
def _change(
    name: str,
    before: set[State],
    after: State,
    action: str,
    by: UUID | None,
    reason: str,
    program: str,
) -> bool:
    worker = find(name)
    changed = Worker.objects.filter(pk=worker.pk, state__in=before).update(state=after)
    if changed:
        log.note(
            action,
            actor=by,
            target=name,
            before={"state": worker.state},
            after={"state": after, **_program(program)},
            reason=reason,
        )
    return bool(changed)


def _check(name: str, terms: Terms) -> None:
    if not NAME.fullmatch(name):
        raise InvalidRequest("A worker's name is of a-z, 0-9, dot, dash and underscore.")
    if not LABEL.fullmatch(terms.accelerator):
        raise InvalidRequest("An accelerator is a label like A100_80GB, of at most 32 characters.")
    try:
        parts = urlsplit(terms.base_url)
        is_whole = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
        is_whole &= not ("@" in parts.netloc or parts.query or parts.fragment)
    except ValueError:  # Brackets, letters or a port that no address has.
        is_whole = False
    if not is_whole or not terms.base_url.isprintable() or " " in terms.base_url:
        raise InvalidRequest("base_url is like http://10.0.0.7:8188; a token is given beside it.")
    if not 1 <= terms.slots <= MOST_SLOTS:
        raise InvalidRequest(f"slots: from 1 to {MOST_SLOTS}.")
    prices = (terms.micros_per_second, terms.minimum_micros, terms.micros_per_output)
    if not all(0 <= each <= MOST_MICROS for each in prices):
        raise InvalidRequest("Prices are micros of a dollar, from 0 on.")


def _check_lists(terms: Terms) -> None:
    if terms.accelerator == ANY:
        raise InvalidRequest(f"accelerator: {ANY!r} is what a run says that goes anywhere.")
    if terms.dialect not in Worker.Dialect.values:
        raise InvalidRequest(f"dialect: one of {', '.join(Worker.Dialect.values)}.")
    if len(terms.user) > MOST_USER or ":" in terms.user or isolation.CONTROL.search(terms.user):
        raise InvalidRequest(f"user: at most {MOST_USER} characters, and no colon.")
    known = set(Workspace.objects.filter(pk__in=terms.reserved_for).values_list("pk", flat=True))
    if strange := [each for each in terms.reserved_for if each not in known]:
        raise InvalidRequest(f"reserved_for: there is no workspace {strange[0]}.")
    for each in (*terms.allowed_classes, *terms.denied_classes, *terms.shared_inputs):
        if not 0 < len(each) <= graphs.MOST_CLASS or isolation.CONTROL.search(each):
            raise InvalidRequest(f"Classes and files: at most {graphs.MOST_CLASS} characters each.")


def note_nodes(worker: Worker, info: Mapping[str, Any]) -> bool:
    """Write down what a worker has of nodes; False if that is as before.

    A class of which it says what no node can be is none: everything that reads them relies on it.
    """
    info = {name: said for name, said in info.items() if _is_class(name, said)}
    digest = hashlib.sha256(orjson.dumps(info, option=orjson.OPT_SORT_KEYS)).hexdigest()
    barred = sorted(name for name in info if is_denied(name, worker))
    if WorkerNodes.objects.filter(worker=worker, digest=digest, barred=barred).exists():
        return False
    WorkerNodes.objects.update_or_create(
        worker=worker,
        defaults={
            "classes": sorted(info),
            "barred": barred,
            "object_info": info,
            "digest": digest,
            "read_at": timezone.now(),
        },
    )
    return True


def note_folders(worker: Worker, folders: Mapping[str, Sequence[str]]) -> None:
    """Write down which models a worker has; of files that runs brought nothing is said."""
    known = {
        folder: sorted({each for each in isolation.common(names) if _is_file(each)})[:MOST_MODELS]
        for folder, names in folders.items()
    }
    WorkerNodes.objects.filter(worker=worker).exclude(folders=known).update(folders=known)


def _is_file(name: str) -> bool:
    return len(name) <= LONGEST_MODEL and not isolation.CONTROL.search(name)


def _is_class(name: str, said: object) -> bool:
    if (
        not isinstance(said, dict)
        or len(name) > graphs.MOST_CLASS
        or graphs.holds_nul([name, said])
    ):
        return False
    inputs, gives = said.get("input") or {}, said.get("output") or []
    return (
        isinstance(gives, list)
        and isinstance(inputs, dict)
        and all(isinstance(inputs.get(part) or {}, dict) for part in ("required", "optional"))
    )


def open_to(workspace_id: UUID) -> QuerySet[Worker]:
    """Return the workers that a workspace's runs may go to."""
    mine = Q(reserved_for=[]) | Q(reserved_for__contains=[workspace_id])
    return Worker.objects.filter(mine, state=State.ACTIVE)


def is_denied(name: str, worker: Worker | None = None) -> bool:
    """Whether a class may not run, on any worker or on this one."""
    denied = (*DENIED, *(worker.denied_classes if worker else ()))
    allowed = (worker.allowed_classes if worker else ()) or ("*",)
    return _is_like(name, denied) or not _is_like(name, allowed)


def _is_like(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in patterns)


def fitting(
    workspace_id: UUID, accelerator: str, graph: graphs.Graph, *, with_models: bool = False
) -> Sequence[Worker]:
    """Return the workers that could take a run, whether they are up or not.

    One that brings files of models goes to a ComfyUI itself alone: a proxy takes none. Raises
    AccessDisabled for a class that may not run, InvalidWorkflow for one that none of them has, for
    an accelerator that none is and for files that none takes, and NoWorker where all have been down
    for a while.
    """
    wanted = set(graphs.classes(graph))
    if denied := sorted(each for each in wanted if is_denied(each)):
        raise _may_not(denied[0])
    mine = list(open_to(workspace_id).select_related("nodes").defer("nodes__object_info"))
    there = {each.pk: set(each.nodes.classes) for each in mine if hasattr(each, "nodes")}
    if not there:
        raise NoWorker(
            gettext("No machine for runs is ready here yet. Please try again in a while.")
        )
    if missing := wanted - set().union(*there.values()):
        raise graphs.unknown_classes(graph, missing)
    _refuse_barred(wanted, [each for each in mine if each.pk in there])
    labels = sorted({each.accelerator for each in mine})
    if accelerator and accelerator not in labels:
        raise InvalidWorkflow(
            gettext("There is no accelerator %(accelerator)s here. There are: %(labels)s.")
            % {"accelerator": repr(accelerator[:40]), "labels": ", ".join(labels)},
            details={"accelerators": labels},
        )
    found = [
        each
        for each in mine
        if each.pk in there
        and wanted <= there[each.pk]
        and accelerator in ("", each.accelerator)
        and wanted.isdisjoint(each.nodes.barred)
    ]
    if not found:
        raise InvalidWorkflow(
            gettext(
                "No single machine here has all nodes of this workflow, of the kind that is "
                "asked for."
            ),
            details={"accelerators": labels},
        )
    if with_models:
        found = [each for each in found if each.dialect == Worker.Dialect.NATIVE]
        if not found:
            raise InvalidWorkflow(
                gettext(
                    "No machine that could run this takes files of models. Leave them out, and "
                    "name models that the machine has."
                ),
                details={"accelerators": labels},
            )
    gone = timezone.now() - DOWN_FOR
    if all(each.down_since and each.down_since < gone for each in found):
        raise NoWorker(
            gettext("All machines that could run this are down. Please try again in a while.")
        )
    return found


def _refuse_barred(wanted: set[str], machines: Sequence[Worker]) -> None:
    """Raise AccessDisabled for a class that may run on none of the machines that have it."""
    open_here = set().union(*({*each.nodes.classes} - {*each.nodes.barred} for each in machines))
    if barred := sorted(wanted - open_here):
        raise _may_not(barred[0])


def _may_not(name: str) -> AccessDisabled:
    return AccessDisabled(gettext("Nodes of the class %(name)s may not run here.") % {"name": name})


_infos: dict[str, dict[str, Any]] = {}
MOST_INFOS: Final = 8


def object_info(worker: Worker) -> dict[str, Any]:
    """Return what a worker said of its nodes; kept in memory, as it is large and rarely changes."""
    digest = WorkerNodes.objects.filter(worker=worker).values_list("digest", flat=True).get()
    if digest not in _infos:
        if len(_infos) >= MOST_INFOS:
            _infos.pop(next(iter(_infos)))
        nodes = WorkerNodes.objects.get(worker=worker)
        _infos[nodes.digest] = nodes.object_info
        digest = nodes.digest
    return _infos[digest]
