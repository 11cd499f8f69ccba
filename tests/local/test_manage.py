"""`dev.py manage` is manage.py on a running `up`, and says where there is none."""

from __future__ import annotations

import json

import pytest

from local import manage, processes


@pytest.mark.parametrize("left", [None, "", "[]", "{}"])
def test_where_nothing_ever_ran_it_says_so(tmp_path, capsys, monkeypatch, left):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    if left is not None:
        (tmp_path / "environment.json").write_text(left)

    assert manage.main(["--data", str(tmp_path), "reconcile"]) == 1

    line = capsys.readouterr().err
    assert line == f"manage: nothing runs on {tmp_path}: start `dev.py up` first.\n"


def test_what_an_ended_up_left_behind_is_nothing_that_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    url = f"postgresql://nobody@127.0.0.1:{processes.free_port()}/nothing"
    (tmp_path / "environment.json").write_text(json.dumps({"DATABASE_URL": url}))

    assert manage.main(["--data", str(tmp_path), "reconcile"]) == 1

    assert "nothing runs on" in capsys.readouterr().err
