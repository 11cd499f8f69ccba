"""Notes on customers: added with a name, never without words, and gone with their customer."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from audit.models import Event
from common.errors import InvalidRequest
from common.personal import Person
from desk import notes, personal
from desk.models import Note


def test_a_note_is_read_noted_in_the_log_and_goes_with_its_customer(alice, bob):
    notes.write(alice.workspace_id, " Two runs, two deliveries. ", by=bob.user.pk)

    assert [each.text for each in notes.of(alice.workspace_id)] == ["Two runs, two deliveries."]
    assert Event.objects.filter(action="note.written", workspace_id=alice.workspace_id).exists()
    person = Person(alice.user.pk, "", (alice.user.email,), (alice.workspace_id,))
    assert personal.erase(person) == {"notes": 1}
    assert notes.of(alice.workspace_id) == []


def test_a_note_that_says_nothing_is_refused(alice):
    for text in (" ", "x" * 2001):
        with pytest.raises(InvalidRequest):
            notes.write(alice.workspace_id, text, by=uuid.uuid4())
    with pytest.raises(IntegrityError, match="note_says_something"), transaction.atomic():
        Note.objects.create(workspace_id=alice.workspace_id, words="", by=uuid.uuid4())
