"""Whatever befalls the money of runs, in whatever order: after each step the books agree.

Two members hand runs over, machines carry and lose them, nodes call inside and are charged later,
members cancel, holds are swept too early, a runner of before comes late, and a process dies before
any of its statements. In the end all is ended, and nothing is held.
"""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from runs_by_hand import call, calling, end, settled, submitted, worker
from runs_stage import picture

from common.errors import PlatformError
from common.money import usd
from credits.books import holds
from credits.models import Budget, Entry, Hold
from credits.proofs import reconciliation as books_proofs
from runs import books, core, ending, reconciliation, scheduler, spending
from runs.models import ENDED, ON_A_WORKER, Run
from tests.plugin import examples
from usage import reconciliation as usage_proofs

PICK = st.integers(0, 5)
FATE = st.one_of(st.none(), st.none(), st.integers(1, 25))
"""Before which of its statements a process dies; none: it lives."""
PROOFS = (*books_proofs.CHECKS, usage_proofs.CHECKS[0], *reconciliation.CHECKS)
WHOLE = " UNION ALL ".join(
    f"SELECT '{check.name.replace(chr(39), '')}', line::text FROM ({check.differences}) AS d(line)"
    for check in PROOFS
)


class Died(BaseException):
    """The process is gone, and of an open transaction nothing is left."""


class Runs(RuleBasedStateMachine):
    """Two members, two machines, and what befalls them."""

    make_member = None

    def __init__(self):
        super().__init__()
        self.bubble = transaction.savepoint()
        self.members = [self.make_member("3.00"), self.make_member("1.00")]
        self.machines = [
            worker(*self.members, per_second=10_000, per_output=7_000, slots=2),
            worker(*self.members, per_second=4_000, minimum=9_000, slots=1),
        ]
        self.keys, self.before, self.others = {}, [], []

    def teardown(self):
        try:
            self._all_ends()
        finally:
            transaction.savepoint_rollback(self.bubble)

    # --- What members do ----------------------------------------------------------------------

    @rule(
        who=st.integers(0, 1),
        calls=st.booleans(),
        most=st.sampled_from([None, "0.02", "0.40", "0.90", "2.50"]),
        again=st.booleans(),
        fate=FATE,
    )
    def hand_over(self, who, calls, most, again, fate):
        asked = {"idempotency_key": f"{uuid.uuid4()}", "max_micros": usd(most) if most else None}
        for _ in range(2 if again else 1):
            self._do(fate, submitted, self.members[who], calling() if calls else picture(), **asked)
            fate = None

    @rule(pick=PICK, fate=FATE)
    def cancel(self, pick, fate):
        if run := self._one(pick):
            self._do(fate, core.cancel, run.workspace_id, run.pk, by=run.user_id)

    @rule(who=st.integers(0, 1), micros=st.sampled_from([5_000, usd("0.30"), usd("1.10")]))
    def call_beside(self, who, micros):
        hold = self._do(None, holds.place, self.members[who].workspace_id, amount=micros,
                        ttl_seconds=600)  # fmt: skip
        if hold is not None:
            self.others.append(hold)

    @rule(pick=PICK)
    def call_beside_ends(self, pick):
        if self.others:
            holds.void(self.others.pop(pick % len(self.others)))

    # --- What the runner does -----------------------------------------------------------------

    @rule(machine=st.integers(0, 1), fate=FATE, later=FATE)
    def begin(self, machine, fate, later):
        run = self._do(fate, scheduler.claim, self.machines[machine].pk)
        if run is not None:
            self._send(run, later)

    @rule(pick=PICK, fate=FATE)
    def begin_again(self, pick, fate):
        """As a runner does that follows one that died."""
        if run := self._one(pick, "staging"):
            self._send(run, fate)

    def _send(self, run, fate):
        if run.sent_at is None:
            key = self._do(fate, books.sending, run)
            if key:
                self.keys[run.pk] = key
                self.before.append((run.pk, key))
            if key is None:
                if fate is None and (why := books.asked_to_end(run.pk, run.prompt_id)):
                    end(run, 0, state="canceled", code=why, ours=True)
                return
        self._do(None, books.is_running, run)

    @rule(pick=PICK, seconds=st.sampled_from([1, 31, 59, 75, 200]), files=st.integers(0, 3),
          fate=FATE)  # fmt: skip
    def pay(self, pick, seconds, files, fate):
        if run := self._one(pick, "running"):
            why = self._do(fate, books.kept_paid, run.pk, run.prompt_id, seconds * 1000, files)
            if why:
                ending.ask_to_cancel(run.pk, why)

    @rule(pick=PICK, gpu_ms=st.sampled_from([0, 1, 900, 31_000, 95_000]), files=st.integers(0, 2),
          how=st.sampled_from(["succeeded", "succeeded", "failed", "canceled", "ours"]),
          fate=FATE)  # fmt: skip
    def it_ends(self, pick, gpu_ms, files, how, fate):
        if run := self._one(pick, *ON_A_WORKER):
            state = "failed" if how == "ours" else how
            code = ending.CANCELED if how == "canceled" else ""
            self._do(fate, end, run, gpu_ms, state=state, code=code, files=files,
                     ours=how == "ours")  # fmt: skip

    @rule(pick=PICK, fate=FATE)
    def it_is_lost(self, pick, fate):
        if run := self._one(pick, *ON_A_WORKER):
            self._do(fate, scheduler.lost, run, "lost")

    @rule(pick=PICK)
    def a_runner_of_before_comes_late(self, pick):
        if run := self._one(pick, *ON_A_WORKER):
            run.prompt_id = uuid.uuid4()
            assert not end(run, 50_000)
            assert not scheduler.lost(run, "lost")
            assert books.kept_paid(run.pk, run.prompt_id, 1000, 0) == ""

    # --- What nodes inside do -----------------------------------------------------------------

    @rule(pick=PICK, micros=st.sampled_from([1, 15_000, 200_000, 600_000]))
    def call_inside(self, pick, micros):
        if self.keys:
            run_id, key = sorted(self.keys.items())[pick % len(self.keys)]
            verdict = call(key, micros)[2]
            is_alive = Run.objects.filter(pk=run_id, state__in=ON_A_WORKER).exists()
            assert is_alive or verdict == "unauthorized"

    @rule(pick=PICK, part=st.sampled_from([0, 2, 1]))
    def call_inside_ends(self, pick, part):
        inside = Hold.objects.filter(memo__vendor="sandbox").order_by("id")
        if inside:
            hold = inside[pick % len(inside)]
            settled(hold, hold.amount_micros // part if part else 0)

    # --- Time ---------------------------------------------------------------------------------

    @rule(pick=PICK)
    def a_hold_is_swept(self, pick):
        """Nobody renewed it in time; so its run is charged nothing."""
        if run := self._one(pick):
            settled(Hold.objects.filter(pk=run.hold_id).first() or _no_hold(run), 0,
                    outcome="expired")  # fmt: skip

    @rule(pick=PICK)
    def it_waits_too_long(self, pick):
        if run := self._one(pick, "queued"):
            Run.objects.filter(pk=run.pk).update(queued_at=timezone.now() - timedelta(hours=2))
            scheduler.expire_waiting()

    # --- What always holds --------------------------------------------------------------------

    @invariant()
    def the_books_agree(self):
        with connection.cursor() as cursor:
            cursor.execute(WHOLE)
            assert cursor.fetchall() == []

    @invariant()
    def nobody_pays_more_than_was_said(self):
        for run in self._all():
            receipt = core.receipt(run)
            assert receipt.total <= run.max_micros
            assert receipt.seconds + receipt.per_outputs == receipt.charged
        for member in self.members:
            wallet = member.now()
            assert 0 <= wallet.held_micros <= wallet.balance_micros

    def _all_ends(self):
        for run in self._all().exclude(state__in=ENDED):
            if run.state == "queued":
                core.cancel(run.workspace_id, run.pk, by=run.user_id)
            else:
                assert end(run, 1000)
        for hold in Hold.objects.filter(memo__vendor="sandbox"):
            settled(hold, hold.amount_micros)
        for hold in self.others:
            holds.void(hold)
        self.the_books_agree()
        self.nobody_pays_more_than_was_said()
        for member in self.members:
            wallet = member.now()
            assert (wallet.held_micros, wallet.open_holds, wallet.open_apart) == (0, 0, 0)
            spent = Entry.objects.filter(debit_id=member.workspace_id, kind="call")
            mine = [core.receipt(each).total for each in self._all(member)]
            assert sum(spent.values_list("amount_micros", flat=True)) == sum(mine)
        for run_id, key in self.before:
            assert call(key, 1)[2] == "unauthorized", run_id
        self._all().update(ended_at=timezone.now() - timedelta(hours=2))
        spending.forget_budgets()
        assert not Budget.objects.filter(owner_kind="run").exists()

    def _all(self, *members):
        of = [each.workspace_id for each in members or self.members]
        return Run.objects.filter(workspace_id__in=of).order_by("pk")

    def _one(self, pick, *states):
        found = list(self._all().filter(state__in=states) if states else self._all())
        return found[pick % len(found)] if found else None

    @staticmethod
    def _do(fate, work, *args, **named):
        """Do it; None where it was refused, or where its process died."""
        count = 0

        def execute(through, sql, parameters, many, context):
            nonlocal count
            count += 1
            if fate is not None and count >= fate and not str(sql).startswith(("ROLL", "RELEASE")):
                raise Died
            return through(sql, parameters, many, context)

        with contextlib.suppress(Died, PlatformError), connection.execute_wrapper(execute):
            return work(*args, **named)
        return None


def _no_hold(run):
    """One that is over already, as a sweep finds none."""
    return Hold(pk=run.hold_id, account_id=run.workspace_id)


@pytest.mark.slow
def test_whatever_befalls_runs_the_books_agree(db, make_member, monkeypatch):
    monkeypatch.setattr(Runs, "make_member", staticmethod(make_member))
    run_state_machine_as_test(
        Runs,
        settings=settings(
            max_examples=examples(24),
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
