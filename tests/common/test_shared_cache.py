"""The cache that all web processes share: what counts tries must not be undone or flushed."""

import os
import random
import subprocess
import sys
import time
import uuid

import pytest
from django.core.cache import cache
from django.db import connection, connections, transaction

from common import ratelimits, shared_cache
from common.errors import RateLimited


@pytest.fixture
def key(committed):
    return uuid.uuid4().hex


def test_what_is_kept_is_there_until_its_time_is_over(key):
    cache.set(key, [1.5, "two", None], timeout=60)
    assert cache.get(key) == [1.5, "two", None]

    cache.set(key, True, timeout=0.05)
    time.sleep(0.06)

    assert cache.get(key, "nothing") == "nothing"
    assert cache.add(key, 1)
    assert not cache.add(key, 2)
    assert (cache.get(key), cache.delete(key), cache.delete(key)) == (1, True, False)


def test_a_number_is_added_to_and_only_where_it_is_kept(key):
    with pytest.raises(ValueError, match="not found"):
        cache.incr(key)
    cache.set(key, 4)

    assert (cache.incr(key), cache.decr(key, 3), cache.touch(key, 60)) == (5, 2, True)
    assert not cache.touch(uuid.uuid4().hex)


def test_for_ever_is_for_ever(key):
    cache.set(key, "stays", timeout=None)

    assert cache.get(key) == "stays"


def test_no_pickle_is_kept_or_read(key):
    with pytest.raises(TypeError):
        cache.set(key, object())


def test_a_rolled_back_transaction_undoes_no_count(key):
    """With the transaction's own connection twelve of twelve tries passed a limit of five."""
    passed = 0
    for _ in range(12):
        with transaction.atomic():
            try:
                ratelimits.take("test", key, most=5, seconds=3600)
                passed += 1
            except RateLimited:
                pass
            transaction.set_rollback(True)

    assert passed == 5


def test_of_many_at_once_as_many_pass_as_may(key, at_once):
    def passes(_):
        try:
            ratelimits.take("test", key, most=7, seconds=3600)
        except RateLimited as refusal:
            return int(refusal.headers["Retry-After"])
        return True

    told = at_once(passes, range(20))
    assert told.count(True) == 7
    assert all(1 < wait <= 3601 for wait in told if wait is not True)


@pytest.mark.slow
def test_another_process_counts_the_same(key):
    cache.set(key, 1)
    name = connection.settings_dict["NAME"]
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        f"settings.DATABASES['counts']['NAME'] = {name!r}\n"
        "from django.core.cache import cache\n"
        f"print(cache.incr({key!r}))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": ".:platform"})  # fmt: skip

    assert (said.stdout.strip(), cache.get(key)) == ("2", 2)


def test_what_is_over_is_swept_by_writers_and_what_is_not_stays(key, monkeypatch):
    for n in range(30):
        cache.set(f"{key}:{n}", n, timeout=-1)
    cache.set(f"{key}:lives", 1)
    monkeypatch.setattr(random, "randrange", lambda _: 0)

    cache.set(key, 1)

    with connections[shared_cache.ALIAS].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shared_cache WHERE key LIKE %s", [f"%{key}:%"])
        assert cursor.fetchone() == (1,)


def test_thousands_of_entries_flush_no_counter(key):
    """Django's own keeps three hundred: whoever fills it begins to count anew."""
    cache.set(key, 41)
    with connections[shared_cache.ALIAS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO shared_cache SELECT %s || n, '1', now() + interval '1 minute'"
            " FROM generate_series(1, 5000) n",
            [key],
        )
    for n in range(100):
        cache.set(f"{key}-more-{n}", n)

    assert cache.incr(key) == 42
    cache.clear()
    assert cache.get(key) is None


def test_who_tries_is_kept_as_a_digest(key):
    ratelimits.take("test", f"carol-{key}@example.org\x00\ud800", most=1, seconds=60)

    with connections[shared_cache.ALIAS].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shared_cache WHERE key LIKE %s", [f"%carol-{key}%"])
        assert cursor.fetchone() == (0,)
