"""The project of a run, given afterwards: calls, sums, filters and files say the same one."""

import itertools
import random
import uuid

import pytest
from call_rows import call_of
from test_sums import differences, many

from apikeys import keys
from audit.models import Event
from common.errors import InvalidRequest, NotFound
from credits.proofs import reconciliation
from runs import projects as runs_projects
from usage import exports, history, projects, runs, spend, sums
from usage.history import Wanted
from usage.models import NOBODY, Call, CallBlock, CallSum, RunSum


def of_project(member, name):
    """How many calls of a project each place says there are: the calls, the sums, the file."""
    where = {"workspace_id": member.workspace_id, "project": name}
    days = CallSum.objects.filter(**where, span="day")
    return {
        Call.objects.filter(**where).count(),
        sum(days.values_list("calls", flat=True)),
        sum(CallBlock.objects.filter(**where).values_list("calls", flat=True)),
        sum(map(len, history.all_of(member.workspace_id, Wanted(project=name)))),
        len("".join(exports.as_jsonl(member.workspace_id, Wanted(project=name))).splitlines()),
        sum(each.calls for each in spend.by_span(
            member.workspace_id, Wanted(project=name), span="hour", by=None
        )),
    }  # fmt: skip


def test_all_that_is_told_of_a_project_follows(alice, month):
    many(alice, 700, month)
    sums.catch_up(alice.workspace_id)
    some = RunSum.objects.filter(workspace_id=alice.workspace_id).order_by("run_id")[:60]
    names = sorted({each.run_id for each in some})
    before = Call.objects.filter(workspace_id=alice.workspace_id, run_id__in=names).count()

    projects.give(alice.workspace_id, names, project="a new one")
    projects.give(alice.workspace_id, names, project="a new one")  # Again is nothing more.

    assert of_project(alice, "a new one") == {before}
    assert len(of_project(alice, "film")) == 1
    assert differences(alice) == []
    assert "a new one" in projects.known(alice.workspace_id)
    for by in spend.By:
        parts = list(spend.by_span(alice.workspace_id, Wanted(), span="month", by=by))
        assert sum(each.calls for each in parts) == 700


def test_chance_gives_projects_and_adds_calls_and_everything_stays_equal(alice, month):
    chance = random.Random(7)
    for turn in range(12):
        many(alice, 60, month, seed=turn)
        names = list(RunSum.objects.filter(workspace_id=alice.workspace_id).values_list(
            "run_id", flat=True
        ))  # fmt: skip
        if names:
            chosen = chance.sample(names, min(len(names), 9))
            whose = chance.choice([None, NOBODY, uuid.UUID(int=11)])
            name = chance.choice(["", "film", "kites", "third"])
            projects.give(alice.workspace_id, chosen, project=name, user_id=whose)
    sums.catch_up(alice.workspace_id)

    assert differences(alice) == []
    for name in ("film", "kites", "third"):
        assert len(of_project(alice, name)) == 1


def test_what_ends_later_is_of_the_runs_project_too_and_others_are_not(alice, bob):
    call_of(alice, run_id="one", project="old")
    runs_projects.give(alice.workspace_id, "one", "new", by=alice.user.pk)

    late = call_of(alice, run_id="one", project="old")
    other = call_of(alice, run_id="two", project="old")
    theirs = call_of(alice, run_id="one", project="old", user_id=bob.user.pk)

    told = {each.id: each.project for some in history.all_of(alice.workspace_id, Wanted())
            for each in some}  # fmt: skip
    assert (told[late.pk], told[other.pk], told[theirs.pk]) == ("new", "old", "old")
    assert history.one(alice.workspace_id, late.pk).project == "new"
    (run,) = runs.older(alice.workspace_id, runs.Wanted(project="new"), than=None, limit=5)[0]
    assert run.calls == 2
    assert differences(alice) == []


def test_it_is_noted_once_and_refused_where_there_is_nothing(alice):
    call_of(alice, run_id="one", project="old")
    for _ in range(2):
        runs_projects.give(alice.workspace_id, "one", "  new \n one ", by=alice.user.pk)

    (noted,) = Event.objects.filter(workspace_id=alice.workspace_id, action="run.project_given")
    assert noted.target == "one"
    assert (noted.before, noted.after) == ({"project": "old"}, {"project": "new one", "calls": 1})
    for unknown in ("two", "o\0ne", "x" * 5000):
        with pytest.raises(NotFound):
            runs_projects.give(alice.workspace_id, unknown, "x", by=alice.user.pk)
    with pytest.raises(NotFound):
        runs_projects.give(alice.workspace_id, "one", "x", by=None, user_id=uuid.uuid4())
    with pytest.raises(InvalidRequest, match="64 characters"):
        runs_projects.give(alice.workspace_id, "one", "x" * 65, by=alice.user.pk)


def test_a_run_of_very_many_calls_stays_as_it_is(alice, monkeypatch):
    monkeypatch.setattr(projects, "MOST_CALLS", 1)
    for _ in range(2):
        call_of(alice, run_id="one")

    with pytest.raises(InvalidRequest, match="more than 1 calls"):
        projects.give(alice.workspace_id, ["one"], project="x")
    assert of_project(alice, "x") == {0}


def test_whoever_gives_adds_and_calls_at_once_the_sums_are_those_of_the_calls(
    committed, make_member, at_once, month
):
    """Eight at a time: two give other projects to the same runs, three add, three calls come."""
    carol = make_member()
    many(carol, 240, month)
    sums.catch_up(carol.workspace_id)
    names = [f"run-{number}" for number in range(60)]

    def act(turn):
        kind, seed = turn
        for n in range(6):
            if kind == "give":
                projects.give(carol.workspace_id, names, project=f"{seed}-{n % 2}")
            elif kind == "call":
                call_of(carol, run_id=f"run-{(seed + n) % 60}", project="film")
            else:
                sums.catch_up(carol.workspace_id)

    at_once(act, list(itertools.product(("give", "call", "add"), range(3)))[:8])
    sums.catch_up(carol.workspace_id)

    assert differences(carol) == []
    assert CallSum.objects.filter(workspace_id=carol.workspace_id, calls__lte=0).count() == 0
    tagged = RunSum.objects.filter(workspace_id=carol.workspace_id, is_tagged=True)
    for run in tagged.iterator():
        mine = Call.objects.filter(workspace_id=carol.workspace_id, run_id=run.run_id)
        same = {each.project for each in mine if (each.user_id or NOBODY) == run.user_id}
        assert same == {run.project}


def test_reconciliation_finds_a_run_that_says_another_project(alice):
    call_of(alice, run_id="one", project="old")
    sums.catch_up(alice.workspace_id)
    RunSum.objects.filter(workspace_id=alice.workspace_id).update(project="false")

    assert differences(alice)
    assert reconciliation.CHECKS


@pytest.mark.parametrize("body", [{"project": "film"}, {"project": ""}])
def test_a_key_that_manages_gives_a_project(alice, client, body):
    call_of(alice, run_id="3f/odd", project="old")

    def ask(name, scope="keys:manage"):
        key, _ = keys.issue(
            workspace_id=alice.workspace_id, user_id=alice.user.pk, name="x", scopes=[scope]
        )
        return client.patch(f"/v1/runs/{name}", body, "application/json",
                            headers={"X-API-KEY": key})  # fmt: skip

    assert ask("3f/odd").json() == {"id": "3f/odd", "project": body["project"]}
    assert of_project(alice, "old") == {0}
    assert ask("nothing").status_code == 404
    assert ask("3f/odd", "usage:read").status_code == 403
