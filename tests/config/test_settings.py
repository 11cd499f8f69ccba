"""A machine that is set up wrongly says so at start, by the variable's name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def start(code="import config.settings", **environment):
    given = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}", **environment}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={name: value for name, value in given.items() if value is not None},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_with_everything_it_starts():
    assert start().returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", None),
        ("SECRET_KEY", None),
        ("SECRET_KEY", "short"),
        ("KEY_PEPPERS", None),
        ("KEY_PEPPERS", "not json"),
        ("KEY_PEPPERS", "{}"),
        ("KEY_PEPPERS", '{"1": "5a5a"}'),
        ("KEY_PEPPERS", '{"1": "no hex, but longer than thirty-two bytes are"}'),
        ("KEY_PEPPERS", '{"one": "' + "5a" * 32 + '"}'),
        ("DEBUG", "perhaps"),
        ("JSON_BODY_LIMIT_BYTES", "0"),
        ("CELERY_BROKER_OPTIONS", "["),
    ],
)
def test_a_variable_that_is_missing_or_wrong_is_named_and_no_secret_is_told(name, value):
    started = start(**{name: value})

    assert started.returncode != 0
    assert name in started.stderr.upper()
    assert os.environ["SECRET_KEY"][:20] not in started.stderr
    assert "5a5a" not in started.stderr


@pytest.mark.parametrize(
    ("url", "port"),
    [("smtp://mail.example", "587"), ("smtps://mail.example", "465"), ("smtps://m:2465", "2465")],
)
def test_mail_goes_to_the_port_of_its_scheme(url, port):
    """Speaking TLS at once to the port of STARTTLS, no mail would ever go out."""
    started = start("import config.settings as s; print(s.EMAIL_PORT)", EMAIL_URL=url)

    assert started.stdout.strip() == port
