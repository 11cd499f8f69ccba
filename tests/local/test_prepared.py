"""A database that was migrated once is used again only while nothing that made it has changed."""

import shutil

import psycopg
import pytest

from local import prepared
from local.postgres import Cluster


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Copy what the fingerprint reads, so that it can be changed."""
    for path in (*prepared.ROOT.glob("*/migrations/*.py"), prepared.ROOT / "requirements.lock"):
        copy = tmp_path / "tree" / path.relative_to(prepared.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name in ("prepared.py", "postgres.py"):
        (tmp_path / "tree" / "local").mkdir(exist_ok=True)
        shutil.copy(prepared.ROOT / "local" / name, tmp_path / "tree" / "local")
    monkeypatch.setattr(prepared, "ROOT", tmp_path / "tree")
    monkeypatch.setattr(prepared, "__file__", str(tmp_path / "tree" / "local" / "prepared.py"))
    monkeypatch.setattr(prepared, "SHELF", tmp_path / "shelf")
    return tmp_path / "tree"


@pytest.mark.parametrize(
    "changed", ["requirements.lock", "credits/migrations/0001_initial.py", "local/postgres.py"]
)
def test_what_was_made_of_something_else_has_another_name(tree, changed):
    before = prepared.fingerprint()
    (tree / changed).write_bytes((tree / changed).read_bytes() + b"\n# another\n")
    assert prepared.fingerprint() != before


@pytest.mark.system
def test_a_migration_that_fails_leaves_nothing_to_be_copied(tree, tmp_path):
    (tree / "manage.py").write_text("raise SystemExit(1)")
    assert prepared.copy_to(tmp_path / "pg") is False
    assert not (tmp_path / "pg").exists()
    assert list((tmp_path / "shelf").iterdir()) == []


@pytest.mark.system
def test_it_is_made_once_copied_whole_and_old_ones_go(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared, "KEPT", 2)
    (tree / "manage.py").write_text(
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['DATABASE_URL']) as db:\n"
        "    db.execute('CREATE TABLE made AS SELECT 7 AS seven')\n"
    )
    for _ in range(prepared.KEPT + 1):
        with (tree / "requirements.lock").open("a") as lock:
            lock.write("\n")
        shutil.rmtree(tmp_path / "pg", ignore_errors=True)
        assert prepared.copy_to(tmp_path / "pg")
    (tree / "manage.py").write_text("raise SystemExit(1)")
    assert prepared.copy_to(tmp_path / "again"), "it is there"
    assert len(list((tmp_path / "shelf").iterdir())) == prepared.KEPT
    cluster = Cluster(tmp_path / "again", durable=False)
    cluster.start()
    try:
        with psycopg.connect(cluster.dsn(prepared.DATABASE)) as db:
            assert db.execute("SELECT seven FROM made").fetchone() == (7,)
    finally:
        cluster.stop()
