"""A Stripe that does not answer keeps some of the worker's threads waiting, never all."""

import pytest
from django.db import OperationalError

from common.money import usd
from credits.models import TopUp
from credits.payments import tasks
from credits.payments.stripe_api import PaymentsUnavailable


def test_who_gets_no_turn_leaves_everything_for_the_next_round(alice, shop):
    top_up = shop.open(alice)
    shop.fake.post(f"sessions/{top_up.session_id}/pay")
    TopUp.objects.filter(pk=top_up.pk).update(next_check_at="2020-01-01T00:00Z")
    waiting = [tasks._turns.acquire(blocking=False) for _ in range(tasks.TURNS)]
    assert all(waiting)

    tasks.follow_money()
    untouched = alice.now().balance_micros
    for _ in waiting:
        tasks._turns.release()
    tasks.follow_money()

    assert untouched == usd("1.00")
    assert alice.now().balance_micros == usd("26.00")


def test_a_turn_is_given_back_when_the_work_fails():
    @tasks.in_turn
    def fails() -> None:
        raise ValueError

    for _ in range(tasks.TURNS + 1):
        try:
            fails()
        except ValueError:
            continue
        raise AssertionError("it had no turn")


@pytest.mark.parametrize("name", ["listen_again", "compare_with_processor"])
def test_what_comes_once_in_a_while_comes_again_when_it_got_no_turn(db, fake, name, monkeypatch):
    """Else a night in which Stripe is slow is a night without a comparison."""
    task, sent = getattr(tasks, name), []
    monkeypatch.setattr(task, "apply_async", lambda **when: sent.append(when))
    waiting = [tasks._turns.acquire(blocking=False) for _ in range(tasks.TURNS)]
    assert all(waiting)

    task()
    for _ in waiting:
        tasks._turns.release()
    assert sent == [{"countdown": tasks.AGAIN_SECONDS}]
    task()

    assert len(sent) == 1


@pytest.mark.parametrize(
    ("error", "is_traced"),
    [
        (PaymentsUnavailable("Stripe is away."), False),
        (OperationalError("the connection is closed"), False),
        (KeyError("ours"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_who_is_away_is_a_line_and_a_mistake_a_trace_and_neither_stops_the_next(
    caplog, error, is_traced
):
    done = []

    def work(thing):
        if thing == "first":
            raise error
        done.append(thing)

    tasks.each(work, ["first", "second"])

    assert done == ["second"]
    (line,) = caplog.records
    assert bool(line.exc_info) is is_traced
    assert "first" in line.getMessage()
