"""The tour of a running platform: `python3 -m sandbox.tour`."""

from __future__ import annotations

import json

import pytest
from psycopg import conninfo
from vendor_calls import RICH

from sandbox import tour
from sandbox.samples import SAMPLES


@pytest.fixture
async def tourist(stage):
    member = await stage.member(micros=RICH)
    kept = stage.db.info
    where = conninfo.make_conninfo(**{**kept.get_parameters(), "password": kept.password or None})
    return tour.Tourist(stage.url, member.key, where)


def test_a_tour_has_one_operation_of_each_vendor_or_every_one():
    few, every = tour.chosen([], every=False), tour.chosen([], every=True)
    assert [each.vendor.name for each in few] == list(
        dict.fromkeys(each.vendor.name for each in SAMPLES)
    )
    assert {each.operation.path for each in every} == {each.operation.path for each in SAMPLES}
    assert {each.vendor.name for each in tour.chosen(["topaz"], every=False)} == {"topaz"}


async def test_a_tour_says_what_was_held_and_charged(tourist):
    visits = await tour.tour(tourist, tour.chosen(["topaz", "reve", "anthropic"], every=True))
    assert [each.problem for each in visits] == [""] * len(visits)
    assert all(each.is_ok for each in visits), tour.table(visits)
    film = next(each for each in visits if "accept" in each.sample.operation.path)
    assert film.line()[2:5] == ["0.32", "0.24", "0.24"]
    assert film.made == "video/mp4"


@pytest.mark.parametrize("failure", ["status=500", "failed", "cost=90"])
async def test_a_tour_that_went_wrong_says_so(stage, tourist, failure):
    (sample,) = (each for each in SAMPLES if "photo-enhancer" in each.operation.path
                 and each.micros == 50_000)  # fmt: skip
    stage.vendor.fail_next("hitpaw", failure)
    visits = await tour.tour(tourist, [sample])
    assert not visits[0].is_ok
    assert "NOT OK" in tour.table(visits)


def test_without_an_up_there_is_no_tour(tmp_path, capsys):
    assert tour.main(["--data", str(tmp_path)]) == 1
    (tmp_path / "environment.json").write_text(json.dumps({}))
    assert tour.main(["--data", str(tmp_path)]) == 1
    assert "start `dev.py up` first" in capsys.readouterr().err
