"""Chaos draws the same from the same seed, and sees what is wrong."""

from __future__ import annotations

import pytest

from tests.chaos import chaos_proofs
from tests.chaos.chaos_acts import Troubles
from tests.chaos.chaos_clients import Intention, Member
from tests.chaos.chaos_moves import Moves
from tests.chaos.draws import MOVES, TROUBLES, draw, head, noted, read

MEMBER = Member("a@example.org", "user", "workspace", "key", "key id", "manager", 0)
GOOD = {
    "id": "call", "name": "chaos-1", "outcome": "delivered", "micros": 10_000, "entered": 10_000,
    "payer": "workspace", "workspace": "workspace",
}  # fmt: skip


def test_a_seed_draws_the_same_again_and_another_one_something_else():
    first, again, other = (draw(seed, seconds=600) for seed in (7, 7, 8))

    assert first == again
    assert [each.told() for each in first] != [each.told() for each in other]
    assert [each.at for each in first] == sorted(each.at for each in first)


def test_in_an_hour_everything_is_drawn_and_all_of_it_can_be_done():
    drawn = {each.act for each in draw(1, seconds=3600)}

    assert drawn == TROUBLES.keys() | MOVES.keys()
    assert all(hasattr(Troubles, f"_{act}") for act in TROUBLES)
    assert all(hasattr(Moves, f"_{act}") for act in MOVES)


def test_a_journal_is_read_as_what_was_done_when_it_was_done(tmp_path):
    drawn = draw(3, seconds=60)
    journal = tmp_path / "journal.jsonl"
    lines = [noted(each, begun=each.at + 5, outcome="done", wrong=[]) for each in reversed(drawn)]
    journal.write_text("".join([head(3), *lines]))

    seed, found = read(journal)

    assert seed == 3
    assert [(each.act, each.values) for each in found] == [(d.act, d.values) for d in drawn]
    assert [each.at for each in found] == [each.at + 5 for each in drawn]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (GOOD, ""),
        (None, "no row"),
        ({**GOOD, "outcome": "expired", "micros": 0, "entered": None}, "was answered, and is"),
        ({**GOOD, "entered": 9_999}, "was answered, and is"),
        ({**GOOD, "payer": "another"}, "was paid by another"),
        ({**GOOD, "micros": 20_000, "entered": 20_000}, "was told 2.11 credits"),
    ],
)
def test_an_answer_without_its_row_its_entry_or_its_price_is_seen(row, said):
    given = Intention(MEMBER, "image", 1, "", call="call", credits="2.11", state="answered")

    found = chaos_proofs.is_wrong(given, row)

    assert said in found
    assert bool(said) == bool(found)


def test_a_trace_is_found_in_a_plain_log_and_in_one_of_json():
    plain = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: 7\nmore\n'
    json = '{"event":"x","trace":"Traceback (most recent call last)\\n  File a\\nKeyError: 8"}\n'

    assert chaos_proofs.traces("all is well\n") == []
    assert "ValueError: 7" in chaos_proofs.traces(plain)[0]
    assert "KeyError: 8" in chaos_proofs.traces(json)[0]
