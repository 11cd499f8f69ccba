"""A machine that is set up wrongly says so at start, by the variable's name."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from config import settings
from django.core.exceptions import ImproperlyConfigured
from dotenv import dotenv_values

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


FIVES = "5a" * 32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", None),
        ("DATABASE_URL", "no address"),
        ("SECRET_KEY", None),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "ab" * 30),
        ("KEY_PEPPERS", None),
        ("KEY_PEPPERS", "not json"),
        ("KEY_PEPPERS", "{}"),
        ("KEY_PEPPERS", "{" * 100_000),
        ("KEY_PEPPERS", "[]"),
        ("KEY_PEPPERS", '{"1": 7}'),
        ("KEY_PEPPERS", '{"1": "5a5a"}'),
        ("KEY_PEPPERS", '{"1": "no hex, but longer than thirty-two bytes are"}'),
        ("KEY_PEPPERS", '{"one": "' + FIVES + '"}'),
        ("KEY_PEPPERS", f"1:{FIVES},2:5a5a"),
        ("KEY_PEPPERS", f"0:{FIVES}"),
        ("KEY_PEPPERS", f"99999:{FIVES}"),
        ("KEY_PEPPERS", "1:" + "00" * 32),
        ("DEBUG", "perhaps"),
        ("JSON_BODY_LIMIT_BYTES", "0"),
        ("CELERY_BROKER_OPTIONS", "["),
        ("PUBLIC_URL", "credits.example.org"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "http://[::1"),
        ("PUBLIC_URL", "https://credits.example.org/base"),
        ("PUBLIC_URL", "https://me@credits.example.org"),
        ("PUBLIC_URL", "https://credits.example.org:0"),
        ("PUBLIC_URL", "http://credits.example.org:443"),
        ("PUBLIC_URL", "https://credits.example.org:80"),
        ("TRUSTED_PROXIES", "127.0.0.1, proxy.internal"),
        ("CONNECTIONS_PER_ADDRESS", "0"),
        ("HEAD_SECONDS", "never"),
        ("WELCOME_GRANT_USD", "much"),
        ("ADJUSTMENT_LIMIT_USD", "-1"),
        ("EMAIL_URL", "mail.example.org"),
    ],
)
def test_a_variable_that_is_missing_or_wrong_is_a_line_and_no_secret_is_told(
    name, value, monkeypatch
):
    secret = os.environ["SECRET_KEY"][:20]
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as refused:
        settings.read()

    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{name} ")
    assert secret not in line
    assert "5a5a" not in line


@pytest.mark.parametrize("module", ["config.web", "config.manage", "celery"])
def test_each_program_says_so_and_ends(module):
    words = {"config.manage": ["migrate"], "celery": ["-A", "config.celery", "worker"]}
    code = f"import sys, runpy; sys.argv = {[module, *words.get(module, [])]}\n"
    code += f"runpy.run_module('{module}', run_name='__main__', alter_sys=True)"

    started = start(code, SECRET_KEY=None, KEY_PEPPERS="1:5a5a")

    assert started.returncode == 1
    assert [line.split(" ")[1] for line in started.stderr.splitlines()] == [
        "SECRET_KEY",
        "KEY_PEPPERS",
    ]
    assert "5a5a" not in started.stderr


def test_peppers_are_read_in_both_ways(monkeypatch):
    both = [f"1:{FIVES}, 12:{FIVES}", json.dumps({1: FIVES, 12: FIVES})]

    for each in both:
        monkeypatch.setenv("KEY_PEPPERS", each)
        assert settings.read().key_peppers == {1: FIVES, 12: FIVES}


def by_a_shell(file):
    """Return what `sh` makes of it."""
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        ["sh", "-euc", 'set -a; . "$0"; exec "$1" -c "$2"', str(file), sys.executable, code],
        env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return json.loads(done.stdout)


def line_by_line(file):
    """Return what a reader without any notion of quotes makes of it, as Docker's is."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_example_is_read_alike_by_a_shell_and_by_readers_of_such_files():
    file = ROOT / ".env.example"
    plain = line_by_line(file)

    shell = by_a_shell(file)
    assert {name: shell[name] for name in plain} == plain
    assert dict(dotenv_values(file)) == plain


def test_the_example_names_nothing_twice():
    """Of two lines the last one counts: a value in the first would be gone."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [found[1] for line in lines if (found := re.match(r"#?([A-Z_]+)=", line))]
    assert len(names) > 30
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_the_example_names_every_setting():
    said = (ROOT / ".env.example").read_text()

    for name in settings.Environment.model_fields:
        assert re.search(rf"^#?{name.upper()}=", said, re.MULTILINE), name


def test_the_example_as_it_is_starts_nothing():
    example = line_by_line(ROOT / ".env.example")

    started = start("from config.web import main; main()", **example)

    assert started.returncode == 1
    names = [line.split()[1] for line in started.stderr.splitlines()]
    assert names == ["DATABASE_URL", "SECRET_KEY", "KEY_PEPPERS"]
    assert "replace-this" not in started.stderr


@pytest.mark.parametrize(
    ("url", "port"),
    [("smtp://mail.example", "587"), ("smtps://mail.example", "465"), ("smtps://m:2465", "2465")],
)
def test_mail_goes_to_the_port_of_its_scheme(url, port):
    """Speaking TLS at once to the port of STARTTLS, no mail would ever go out."""
    started = start("import config.settings as s; print(s.EMAIL_PORT)", EMAIL_URL=url)

    assert started.stdout.strip() == port
