"""The first of the two commands, where it cannot do what it was asked for."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local import processes, up
from sandbox.vendors import VENDORS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "arguments", [("--port", "99999"), ("--port", "0"), ("--port", "-1"), ("--workers", "0")]
)
def test_a_number_that_cannot_be_is_told(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        up.main([*arguments, "--data", str(tmp_path)])

    assert ended.value.code == 2
    assert f"argument {arguments[0]}: invalid" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch):
    away = "postgresql://nobody:secret-4711@127.0.0.1:9/none?connect_timeout=1"
    monkeypatch.setenv("DATABASE_URL", away)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)

    assert up.main(["--once", "--port", "18999", "--data", str(tmp_path)]) == 1

    said = capsys.readouterr().err
    assert said.startswith("up: the database: ")
    assert said.count("\n") == 1
    assert "secret-4711" not in said


def test_every_vendor_of_the_sandbox_is_called_by_a_credential_that_it_knows(tmp_path):
    first = up.vendors_of_the_sandbox({"SANDBOX_KEY": "k"}, tmp_path, 7)
    file = Path(first["VENDOR_VERTEXAI_CREDENTIALS"])
    before = json.loads(file.read_text())
    again = up.vendors_of_the_sandbox({"SANDBOX_KEY": "k"}, tmp_path, 8)
    after = json.loads(file.read_text())

    assert first == again
    assert first["SANDBOX_SERVICE_ACCOUNT"] == first["VENDOR_VERTEXAI_CREDENTIALS"]
    further = {f"VENDOR_BYTEPLUS_{name}_KEY" for name in ("ACCESS", "VOICE", "MEDIAKIT")}
    assert {name for name in first if name.endswith("_KEY")} == further | {
        f"VENDOR_{vendor.name.upper()}_KEY" for vendor in VENDORS
    }
    # The sandbox that runs already goes on knowing the account.
    assert before["private_key"] == after["private_key"]
    assert after["token_uri"] == "http://127.0.0.1:8/vertexai/token"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.system
def test_once_is_no_success_when_it_was_stopped_before(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL",)}
    command = [sys.executable, "-m", "local.up", "--once", "--port", str(processes.free_port())]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        assert started.stdout
        assert started.stdout.readline() == "started postgres\n"
        started.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert started.wait(60) != 0
        assert time.monotonic() - began < 30
