import uuid

from common.ids import uuid7


def test_an_id_is_a_uuid_of_version_7_in_canonical_text():
    made = [uuid7() for _ in range(1000)]

    assert len(set(made)) == 1000
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 7, uuid.RFC_4122)


def test_ids_follow_time(monkeypatch):
    made = []
    for milliseconds in (1, 2, 10**12, 2 * 10**12):
        monkeypatch.setattr("time.time_ns", lambda at=milliseconds: at * 1_000_000)
        made.append(uuid7())

    assert made == sorted(made)
