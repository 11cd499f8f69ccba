"""A wallet is paused for each cause until it is lifted, and who did what, and why, stays known."""

import uuid

import pytest

from common.errors import InvalidRequest
from credits.books import freezes
from credits.models import Freeze

GRACE, HOPPER = uuid.UUID(int=7), uuid.UUID(int=8)
STAFF, OWING = Freeze.Cause.STAFF, Freeze.Cause.RECEIVABLE


def times(member):
    return list(Freeze.objects.filter(wallet=member.wallet).order_by("id"))


def test_a_second_pause_is_another_row_and_the_first_stays_as_it_was(alice):
    freezes.freeze(alice.workspace_id, STAFF, "Write to us.", by=GRACE)
    assert freezes.lift(alice.workspace_id, STAFF, by=HOPPER, reason="they wrote")
    freezes.freeze(alice.workspace_id, STAFF, "Write again.", by=HOPPER)

    first, second = times(alice)
    assert (first.set_by, first.lifted_by, first.lift_reason) == (GRACE, HOPPER, "they wrote")
    assert (first.sentence, second.sentence) == ("Write to us.", "Write again.")
    assert (second.set_by, second.lifted_at) == (HOPPER, None)
    assert alice.now().frozen_reason == "Write again."


def test_a_pause_said_again_is_one_pause_with_the_new_words(alice):
    freezes.freeze(alice.workspace_id, STAFF, "Write to us.", by=GRACE)
    freezes.freeze(alice.workspace_id, STAFF, "Call us.", by=HOPPER)

    (only,) = times(alice)
    assert (only.sentence, only.set_by) == ("Call us.", HOPPER)
    assert alice.now().frozen_reason == "Call us."


def test_what_is_lifted_twice_was_lifted_once(alice):
    freezes.freeze(alice.workspace_id, STAFF, "Write to us.", by=GRACE)

    did = [freezes.lift(alice.workspace_id, STAFF, by=who, reason="x") for who in (GRACE, HOPPER)]

    assert did == [True, False]
    assert times(alice)[0].lifted_by == GRACE


def test_the_newest_cause_in_force_is_shown_whatever_was_lifted(alice):
    freezes.freeze(alice.workspace_id, OWING, "You owe.")
    freezes.freeze(alice.workspace_id, STAFF, "Write to us.", by=GRACE)
    assert alice.now().frozen_reason == "Write to us."

    freezes.lift(alice.workspace_id, STAFF, by=GRACE, reason="they wrote")
    assert alice.now().frozen_reason == "You owe."

    freezes.lift(alice.workspace_id, OWING)
    assert alice.now().frozen_reason == ""
    assert times(alice)[0].lifted_by is None


@pytest.mark.parametrize("reason", ["", "  ", "x" * 301])
def test_staff_say_why_they_lift_a_pause(alice, reason):
    freezes.freeze(alice.workspace_id, STAFF, "Write to us.", by=GRACE)

    with pytest.raises(InvalidRequest, match="reason"):
        freezes.lift(alice.workspace_id, STAFF, by=GRACE, reason=reason)

    assert alice.now().frozen_reason == "Write to us."


def test_what_staff_do_is_somebodys_and_nothing_else_is(alice):
    with pytest.raises(AssertionError, match="somebody's"):
        freezes.freeze(alice.workspace_id, STAFF, "Write to us.")
    with pytest.raises(AssertionError, match="somebody's"):
        freezes.lift(alice.workspace_id, OWING, by=GRACE, reason="x")
