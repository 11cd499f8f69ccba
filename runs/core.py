"""Runs as every face has them: handed over, looked at, called off. Only here is money held.

    submit -> queued (its hold stands) ... the runner carries it (runner.py) -> ended (ending.py)

Whoever asks is known already: faces find out who that is and what they may (`By`). Everything is
narrowed by the workspace; another's run is as if it were not there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max, Min, Q
from django.utils import timezone
from django.utils.translation import gettext

from apikeys import budgets, keys
from common import ids, ratelimits
from common.errors import (
    AccessDisabled,
    BodyTooLarge,
    BudgetExceeded,
    IdempotencyKeyReuse,
    InvalidRequest,
    InvalidWorkflow,
    NotFound,
    QueueFull,
    Unauthorized,
)
from common.ids import uuid7
from common.money import Micros, show
from credits.books import holds
from desk import maintenance
from runs import (
    address,
    ending,
    events,
    graph,
    inputs,
    preferences,
    scheduler,
    spending,
    workers,
    workflows,
)
from runs.models import ENDED, Output, Run, RunEvent, State
from usage import sums
from usage.models import Call, RunSum
from webhooks import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from django.db.models import QuerySet

    from apikeys.models import ApiKey
    from runs.models import Worker, Workflow, WorkflowVersion

MOST_BYTES: Final = 4 << 20
MOST_QUEUED: Final = 100
SUBMITS_A_MINUTE: Final = 60
MOST_KEY: Final = 255
MOST_LISTED: Final = 1000
MOST_TOLD: Final = 16 << 20
"""Bytes of graphs and messages in one list: of the runs beyond it the rest is told."""
READ_AT_ONCE: Final = 10
LARGE: Final = ("graph", "files", "messages")
"""What of a run is large, and read only where it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who asks, and with which key, if with one."""

    workspace_id: UUID
    user_id: UUID
    key: ApiKey | None = None
    address_id: UUID | None = None
    """By which address of the key they ask, if by one."""
    address_micros: Micros | None = None
    """What a run may cost at most that comes by this address of the key."""

    @property
    def limit(self) -> Micros | None:
        """What a run of theirs may cost at most: by the key, and by the address."""
        of_key = self.key.call_limit_micros if self.key else None
        limits = [each for each in (of_key, self.address_micros) if each is not None]
        return Micros(min(limits)) if limits else None

    @property
    def name(self) -> str:
        """By which its requests are counted: its key, also a rotated one, or else its person."""
        return str(self.key.family if self.key else self.user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be run. Either a graph in API format, or a workflow of the workspace, or both."""

    graph: object | None = None
    workflow_id: UUID | None = None
    inputs: Mapping[str, Any] | None = None
    """Other values for inputs of its nodes (graph.overridden)."""
    replace_links: bool = False
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Path -> `{"asset": id}` or `{"url": address}`."""
    accelerator: str = ""
    """A label; `any`; or nothing: as the workflow or the workspace has it."""
    max_micros: Micros | None = None
    webhook_url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    face: str = ""
    id: UUID | None = None
    """A client's own choice of its id; None: ours."""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a run came to, line by line: micros."""

    gpu_ms: int
    seconds: Micros
    outputs: int
    per_outputs: Micros
    inside: tuple[Call, ...]
    inside_total: Micros
    charged: Micros
    """For seconds and outputs; the calls inside are beside it."""
    held: Micros
    forgiven_ms: int
    observed: bool
    """Whether the time is what was seen from here, as the machine names none."""

    @property
    def total(self) -> Micros:
        """All of it."""
        return Micros(self.charged + self.inside_total)


def submit(by: By, ask: Ask) -> Run:
    """Take a run: its hold stands and it waits, both or neither.

    Raises InvalidWorkflow (and WorkflowFormatUi), InsufficientCredits, BudgetExceeded,
    AccessDisabled, QueueFull, RateLimited, NoWorker; and IdempotencyKeyReuse where its id or its
    idempotency key made a run before: that one is named, and nothing is made.
    """
    ratelimits.take("runs.submit", by.name, most=SUBMITS_A_MINUTE, seconds=60)
    found = workflows.one(by.workspace_id, ask.workflow_id) if ask.workflow_id else None
    version = workflows.newest(found) if found else None
    run, title = _drafted(by, ask, found, version)
    _refuse_repeats(run)
    if ask.id is not None:
        run.asked_id = ask.id  # That is unique in its workspace, whatever its id becomes here.
        _named_apart(run)
    owners = _owners(by)
    while True:
        try:
            placed = _place(by, run, owners, title=title)
        except IntegrityError:  # Its twin came first.
            _refuse_repeats(run)
            if not _named_apart(run):
                raise
            continue
        except BudgetExceeded as refused:
            spending.tell_used_up(run, refused)
            raise
        if placed:
            return get(by.workspace_id, run.pk)
        budgets.brought_up(by.workspace_id, owners)


def get(workspace_id: UUID, run_id: UUID | str) -> Run:
    """Return a run of the workspace, or raise NotFound."""
    return _one(Run.objects.all(), workspace_id, run_id)


def standing(workspace_id: UUID, run_id: UUID | str) -> Run:
    """Return the same without what is large: for who asks again and again."""
    return _one(Run.objects.defer(*LARGE), workspace_id, run_id)


def _one(rows: QuerySet[Run], workspace_id: UUID, run_id: UUID | str) -> Run:
    wanted = ids.read(run_id)
    found = rows.filter(_called(wanted), workspace_id=workspace_id).first() if wanted else None
    if found is None:
        raise NotFound(gettext("There is no such run."))
    return found


def _called(*names: UUID) -> Q:
    """Return what finds runs of one workspace by their ids, or by what their clients call them."""
    return Q(pk__in=names) | Q(asked_id__in=names)


def list_runs(
    workspace_id: UUID,
    *,
    states: Sequence[str] = (),
    is_ending: bool | None = None,
    before: Run | None = None,
    metadata: Mapping[str, str] | None = None,
    workflow_id: UUID | None = None,
    limit: int = 50,
) -> list[Run]:
    """Return runs of the workspace, the newest first; of a page those `before` its last.

    `is_ending`: only those that were called off, or only the others. What is large of them is not
    read with them.
    """
    found = Run.objects.filter(workspace_id=workspace_id, hidden_at=None)
    if states:
        found = found.filter(state__in=list(states))
    if is_ending is not None:
        found = found.exclude(cancel_reason="") if is_ending else found.filter(cancel_reason="")
    if metadata:
        found = found.filter(metadata__contains=dict(metadata))
    if workflow_id is not None:
        own = Q(workflow_version__workflow_id=workflow_id)
        found = found.filter(own | Q(extra__workflow_id=str(workflow_id)))
    if before is not None:
        same = Q(created_at=before.created_at, pk__lt=before.pk)
        found = found.filter(Q(created_at__lt=before.created_at) | same)
    newest = found.order_by("-created_at", "-pk").defer(*LARGE)
    return list(newest[: min(limit, MOST_LISTED)])


def cancel(workspace_id: UUID, run_id: UUID | str, *, by: UUID) -> Run:
    """Have a run end: at once while it waits, else as soon as its worker stops. Again is fine."""
    while True:  # It may begin meanwhile, or be lost and wait again: twice at most.
        run = get(workspace_id, run_id)
        if run.has_ended or run.state == State.COLLECTING or run.cancel_reason:
            return run
        if run.state == State.QUEUED:
            ending.cancel_queued(run, by=by)
        else:
            ending.ask_to_cancel(run.pk, ending.CANCELED, by=by)


def history(workspace_id: UUID, *, most: int, offset: int | None = None) -> list[Run]:
    """Return ended runs of the workspace, the oldest first: the newest of them, or from one on."""
    found = Run.objects.filter(workspace_id=workspace_id, hidden_at=None, state__in=ENDED)
    if offset is None:
        return _bounded(found.order_by("-created_at", "-pk"), 0, most)[::-1]
    return _bounded(found.order_by("created_at", "pk"), offset, offset + most)


def _bounded(rows: QuerySet[Run], begin: int, end: int) -> list[Run]:
    """Return runs with their graphs and messages, as long as these are few enough to be told.

    Of the others they are as if they were forgotten. A graph has 4 MiB, and a list 1,000 runs.
    """
    found: list[Run] = []
    left = MOST_TOLD
    while left > 0 and begin < end:
        some = list(rows[begin : min(begin + READ_AT_ONCE, end)])
        left -= sum(len(orjson.dumps([run.graph, run.messages])) for run in some)
        found += some
        begin += READ_AT_ONCE
        if len(some) < READ_AT_ONCE:
            return found
    for run in rows.defer(*LARGE)[begin:end] if begin < end else ():
        run.graph, run.messages = None, []
        found.append(run)
    return found


def page(
    workspace_id: UUID, *, states: Sequence[str], limit: int, offset: int
) -> tuple[list[Run], int]:
    """Return runs of the workspace, the newest first, from one on; and how many there are."""
    found = Run.objects.filter(workspace_id=workspace_id, hidden_at=None)
    if states:
        found = found.filter(state__in=list(states))
    newest = found.order_by("-created_at", "-pk").defer("graph", "files")
    return list(newest[offset : offset + limit]), found.count()


def unfinished(workspace_id: UUID) -> list[Run]:
    """Return the runs of the workspace that have not ended, in the order in which they came.

    What is large of them is not read with them.
    """
    return list(_unfinished(workspace_id).defer(*LARGE)[:MOST_LISTED])


def queue(workspace_id: UUID) -> list[Run]:
    """Return the same with their graphs, as long as these are few enough to be told."""
    return _bounded(_unfinished(workspace_id), 0, MOST_LISTED)


def _unfinished(workspace_id: UUID) -> QuerySet[Run]:
    found = Run.objects.filter(workspace_id=workspace_id).exclude(state__in=ENDED)
    return found.order_by("created_at", "pk")


def remaining(workspace_id: UUID) -> int:
    """Return how many runs of the workspace have not ended."""
    return Run.objects.filter(workspace_id=workspace_id).exclude(state__in=ENDED).count()


def hide(workspace_id: UUID, run_ids: Sequence[UUID] | None = None) -> int:
    """Have ended runs be in no list any more; None: all that have ended. Return how many."""
    found = Run.objects.filter(workspace_id=workspace_id, hidden_at=None, state__in=ENDED)
    if run_ids is not None:
        found = found.filter(_called(*run_ids))
    return found.update(hidden_at=timezone.now())


def events_after(
    workspace_id: UUID,
    run_id: UUID | str,
    after: int = 0,
    *,
    kinds: Sequence[str] = (),
    limit: int = 500,
) -> list[RunEvent]:
    """Return what happened to a run since the event with that number, in order.

    Only of some kinds, where these are named: messages of its worker's may be large, and many.
    """
    run = standing(workspace_id, run_id)
    found = RunEvent.objects.filter(run=run, pk__gt=after)
    if kinds:
        found = found.filter(kind__in=list(kinds))
    return list(found.order_by("pk")[:limit])


def outputs(workspace_id: UUID, run_id: UUID | str) -> list[Output]:
    """Return the files that a run made and that are still here; none before it has ended."""
    run = standing(workspace_id, run_id)
    living = Output.objects.filter(run=run, expires_at__gt=timezone.now())
    return list(living.order_by("position"))


def outputs_of(runs: Sequence[Run]) -> dict[UUID, list[Output]]:
    """Return the same of each of several runs, by their ids, in one question."""
    found: dict[UUID, list[Output]] = {run.pk: [] for run in runs}
    living = Output.objects.filter(run__in=list(found), expires_at__gt=timezone.now())
    for each in living.order_by("position"):
        found[each.run_id].append(each)
    return found


def queue_position(run: Run) -> int | None:
    """Return how many runs of its workspace begin before it, itself counted; None: it began."""
    if run.state != State.QUEUED:
        return None
    earlier = Q(created_at__lt=run.created_at) | Q(created_at=run.created_at, pk__lte=run.pk)
    waiting = Run.objects.filter(workspace_id=run.workspace_id, state=State.QUEUED)
    return waiting.filter(earlier).count()


def receipt(run: Run) -> Receipt:
    """Return what a run came to; of one that has not ended, so far."""
    price = spending.Price.of(run)
    gpu_ms = max((run.gpu_ms or 0) - run.forgiven_ms, 0)
    seconds = price.of_time(gpu_ms) if run.charged_micros else Micros(0)
    files = Micros(run.paid_outputs * run.micros_per_output) if run.charged_micros else Micros(0)
    calls = _inside(run)
    return Receipt(
        gpu_ms=run.gpu_ms or 0,
        seconds=Micros(min(seconds, run.charged_micros)),
        outputs=run.paid_outputs,
        per_outputs=Micros(min(files, max(run.charged_micros - seconds, 0))),
        inside=calls,
        inside_total=Micros(sum(each.charged_micros for each in calls)),
        charged=Micros(run.charged_micros),
        held=Micros(run.held_micros),
        forgiven_ms=run.forgiven_ms,
        observed=run.extra.get(spending.OBSERVED) is True,
    )


def _inside(run: Run) -> tuple[Call, ...]:
    """Return the calls that were made inside, oldest first: those by its key alone.

    The history's sums know between which numbers they stand, so no more calls are read.
    """
    if run.run_key_id is None:
        return ()
    sums.catch_up(run.workspace_id)
    mine = RunSum.objects.filter(workspace_id=run.workspace_id, run_id=str(run.pk))
    ends = mine.aggregate(first=Min("first_number"), last=Max("last_number"))
    if ends["first"] is None:
        return ()
    found = Call.objects.filter(
        workspace_id=run.workspace_id,
        number__range=(ends["first"], ends["last"]),
        key_id=run.run_key_id,
        settled_at__gte=run.created_at,
    )
    return tuple(found.order_by("number")[:MOST_LISTED])


def _owners(by: By) -> list[Any]:
    if by.key is not None:
        return budgets.of_key(by.key)
    return [budgets.workspaces(by.workspace_id), budgets.members(by.workspace_id, by.user_id)]


def _drafted(
    by: By, ask: Ask, workflow: Workflow | None, version: WorkflowVersion | None
) -> tuple[Run, str]:
    """Return a run that was looked at from all sides, not kept yet, and what it is called."""
    given = ask.graph if ask.graph is not None else (version.graph if version else None)
    if given is None:
        raise InvalidRequest(
            gettext("Send a workflow in API format, or name one of the workspace's.")
        )
    nodes = graph.read(given)
    if ask.inputs:
        nodes = graph.overridden(nodes, ask.inputs, replace_links=ask.replace_links)
    whole = orjson.dumps(nodes)
    if len(whole) > MOST_BYTES:
        raise BodyTooLarge(
            gettext("A workflow has at most %(most)s MiB.") % {"most": MOST_BYTES >> 20}
        )
    if ask.webhook_url:
        addresses.require(ask.webhook_url)
    preferred = preferences.of(by.workspace_id)
    accelerator = _accelerator(ask, workflow, preferred)
    able = workers.fitting(
        by.workspace_id, accelerator, nodes, with_models=inputs.with_models(ask.files)
    )
    given_files = inputs.read(by.workspace_id, ask.files)
    able, lacking, looked, files = _looked(by.workspace_id, nodes, able, given_files)
    price = spending.dearest([spending.Price.of(each) for each in able])
    usual = (workflow.max_micros if workflow else None) or preferred.max_micros
    most = _maximum(by, ask, usual or price.usual_maximum())
    run = Run(
        id=ask.id or UUID(uuid7()),
        workspace_id=by.workspace_id,
        user_id=by.user_id,
        key_id=by.key.pk if by.key else None,
        address_id=by.address_id,
        project=by.key.project if by.key else "",
        face=ask.face,
        idempotency_key=_key(ask.idempotency_key),
        workflow_version=version if ask.graph is None else None,
        graph=nodes,
        classes=list(looked.classes),
        output_nodes=looked.output_nodes,
        uses_api_nodes=looked.uses_api_nodes,
        files=files,
        accelerator=accelerator,
        webhook_url=ask.webhook_url,
        metadata=dict(ask.metadata),
        extra={**ask.extra, **({scheduler.NOT_ON: lacking} if lacking else {})},
        max_micros=most,
        held_micros=price.first(looked.output_nodes, most),
        micros_per_second=price.per_second,
        minimum_micros=price.minimum,
        micros_per_output=price.per_output,
    )
    asked = orjson.dumps([files, accelerator, ask.max_micros], option=orjson.OPT_SORT_KEYS)
    run.fingerprint = hashlib.sha256(
        orjson.dumps(nodes, option=orjson.OPT_SORT_KEYS) + asked
    ).hexdigest()
    return run, workflow.name if workflow else "Run"


def _looked(
    workspace_id: UUID, nodes: graph.Graph, able: Sequence[Worker], given: dict[str, dict[str, str]]
) -> tuple[list[Worker], list[int], graph.Looked, dict[str, dict[str, str]]]:
    """Return the machines that can run it, the ids of those that lack a thing it names, and more.

    That is what was found in it, and its files.
    Machines with the same nodes may have other models, and share other files. Raises
    InvalidWorkflow, in the words of the first, where none can.
    """
    fit: list[Worker] = []
    lacking: list[int] = []
    refusals: list[InvalidWorkflow] = []
    known: dict[tuple[str, tuple[str, ...]], bool] = {}
    found: tuple[graph.Looked, dict[str, dict[str, str]]] | None = None
    for each in able:
        alike = each.nodes.digest, tuple(each.shared_inputs)
        if alike not in known:
            files = dict(given)
            try:
                info = workers.object_info(each)
                looked = graph.look(nodes, info, names=inputs.names(given))
                inputs.check_references(nodes, info, files, each, workspace_id)
            except InvalidWorkflow as refusal:
                refusals.append(refusal)
                known[alike] = False
            else:
                found = found or (looked, files)
                known[alike] = found[1] == files
        if known[alike]:
            fit.append(each)
        else:
            lacking.append(each.pk)
    if found is None:
        raise refusals[0]
    return fit, lacking, *found


def _key(given: str | None) -> str:
    """Return the name of an intention; empty if it has none."""
    if given is not None and not (0 < len(given) <= MOST_KEY and given.isprintable()):
        raise InvalidRequest(
            gettext("Idempotency-Key: from 1 to %(most)s printable characters.")
            % {"most": MOST_KEY}
        )
    return given or ""


def _accelerator(ask: Ask, workflow: Workflow | None, preferred: preferences.Preferred) -> str:
    """Return where it shall run: as it says, as its workflow or its workspace has it; or ""."""
    of_workflow = workflow.accelerator if workflow else ""
    said = ask.accelerator or of_workflow or preferred.accelerator
    return "" if said == workers.ANY else said


def _maximum(by: By, ask: Ask, usual: int) -> Micros:
    """Return the most that the run may cost; raise where who asks may not state so much."""
    stated, limit = ask.max_micros, by.limit
    if stated is not None and stated <= 0:
        raise InvalidRequest(gettext("The most that a run may cost is more than nothing."))
    if stated is not None and limit is not None and stated > limit:
        said = gettext(
            "This key may spend %(limit)s at a time, and the run may cost %(stated)s. State less "
            "for it."
        )
        if limit == by.address_micros:
            said = gettext(
                "By this address a run may cost %(limit)s, and this one may cost %(stated)s. State "
                "less for it."
            )
        raise AccessDisabled(said % {"limit": show(limit), "stated": show(stated)})
    wanted = stated or usual
    return Micros(min(wanted, limit) if limit is not None else wanted)


def _refuse_repeats(run: Run) -> None:
    """Raise IdempotencyKeyReuse where its id, or its idempotency key, made a run of its workspace.

    What another workspace called so is nothing that it hears of (_named_apart).
    """
    own = Run.objects.filter(workspace_id=run.workspace_id)
    before = own.filter(_called(run.asked_id or run.pk)).first()
    if before is None and run.idempotency_key:
        before = own.filter(idempotency_key=run.idempotency_key).first()
    if before is None:
        return
    raise IdempotencyKeyReuse(
        gettext(
            "A run was made with this id, or under this Idempotency-Key, before. Choose another."
        ),
        run_id=before.name,
        is_same=before.fingerprint == run.fingerprint,
    )


def _named_apart(run: Run) -> bool:
    """Give a run another id here where its client's choice is another workspace's run; True: so.

    Its client calls it as it chose all the same, and cannot tell that anybody else did.
    """
    others = Run.objects.exclude(workspace_id=run.workspace_id)
    if run.pk != run.asked_id or not others.filter(pk=run.pk).exists():
        return False
    run.pk = UUID(uuid7())
    return True


@transaction.atomic
def _place(by: By, run: Run, owners: Sequence[Any], *, title: str) -> bool:
    """Hold its first amount and queue it; False where budgets must be brought up before."""
    maintenance.require_none()
    limits = budgets.running(by.workspace_id, owners)
    if limits is None:
        return False
    if by.key is not None and not keys.living().filter(pk=by.key.pk).exists():
        raise Unauthorized(gettext("This API key is unknown, expired or revoked."))
    if by.address_id is not None and not address.living().filter(pk=by.address_id).exists():
        raise Unauthorized(gettext("This address was ended, or its time is over. Make another."))
    if run.uses_api_nodes:
        run.budget_id = spending.give_budget(run.pk, Micros(run.max_micros), by=by.user_id)
        limits = sorted([*limits, run.budget_id])
    hold = holds.place(
        by.workspace_id,
        amount=Micros(run.held_micros),
        ttl_seconds=settings.RUNS_QUEUE_SECONDS + spending.HOLD_SECONDS,
        budgets=limits,
        apart=True,
        memo=spending.memo(run, title=title),
    )
    waiting = Run.objects.filter(workspace_id=by.workspace_id, state=State.QUEUED)
    if waiting.count() >= MOST_QUEUED:  # The wallet is locked: nobody counts beside us.
        raise QueueFull(
            gettext("%(most)s runs of this workspace wait. Wait until some have begun.")
            % {"most": MOST_QUEUED},
            headers={"Retry-After": "30"},
        )
    run.hold_id = UUID(hold.id)
    run.save(force_insert=True)
    events.note(run, "status", {"status": State.QUEUED})
    return True
