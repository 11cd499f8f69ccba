"""A workflow by name: pinned versions, found by its workspace alone, and taken away."""

import uuid

import pytest
from runs_stage import picture, slow

from audit.models import Event
from common.errors import InvalidRequest, NotFound, WorkflowFormatUi
from runs import workflows


def made(member, name="Poster"):
    return workflows.make(member.workspace_id, name=name, graph=picture(), by=member.user.pk)


def test_it_lives_from_its_first_version_to_its_removal(alice, db):
    found = made(alice, "  Poster   of  films ")
    assert found.name == "Poster of films"
    assert workflows.all_of(alice.workspace_id) == [found]
    first = workflows.newest(found)

    second = workflows.give_version(found, slow(1.0), by=alice.user.pk)

    assert (first.number, second.number) == (1, 2)
    assert workflows.newest(found) == second
    first.refresh_from_db()
    assert first.graph == picture()
    assert workflows.remove(found, by=alice.user.pk)
    assert not workflows.remove(found, by=alice.user.pk)
    assert workflows.all_of(alice.workspace_id) == []
    with pytest.raises(NotFound):
        workflows.one(alice.workspace_id, found.pk)
    noted = Event.objects.filter(target=str(found.pk)).order_by("id")
    done = ["workflow.made", "workflow.changed", "workflow.removed"]
    assert [each.action for each in noted] == done
    assert made(alice, "Poster of films"), "its name is free again"


def test_it_is_its_workspaces_alone_and_a_name_is_one(alice, bob):
    found = made(alice)

    with pytest.raises(NotFound):
        workflows.one(bob.workspace_id, found.pk)
    with pytest.raises(NotFound):
        workflows.one(alice.workspace_id, uuid.uuid4())
    with pytest.raises(InvalidRequest, match="of that name"):
        made(alice)
    assert made(bob)
    with pytest.raises(WorkflowFormatUi):
        workflows.give_version(found, {"nodes": [], "links": []}, by=alice.user.pk)
