"""What deploy/ holds is read by its own program where that is installed, and by us in any case."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNNING = (ROOT / "docs" / "running.md").read_text().partition("## Two roles")[0]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OF_PROGRAMS = [each for each in UNITS if each.stem != "platform-backup"]
BY_QUEUE = re.compile(r"-Q ([\w,]+)")
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "User": "platform",
}
SETTINGS_OF_EXAMPLE = {
    line.lstrip("#").partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines()
}


def unit(file):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(file.read_text())
    return parser


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def needs(program):
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    return found or pytest.skip(f"{program} is not installed")


@pytest.fixture
def certificate(tmp_path):
    openssl = needs("openssl")
    key, chain = tmp_path / "key.pem", tmp_path / "fullchain.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x.test"]
    run(openssl, *words, "-keyout", str(key), "-out", str(chain))
    (tmp_path / "both.pem").write_text(key.read_text() + chain.read_text())
    return tmp_path


# --- Each by its own program ------------------------------------------------------------------


def test_nginx_reads_its_file(certificate):
    nginx = needs("nginx")
    text = (DEPLOY / "nginx" / "platform.conf").read_text()
    (certificate / "site.conf").write_text(text.replace("/etc/platform/tls", str(certificate)))
    paths = " ".join(
        f"{name}_temp_path {certificate / name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (certificate / "main.conf").write_text(
        f"pid {certificate}/pid; error_log stderr; events {{}}"
        f" http {{ access_log off; {paths} include {certificate}/site.conf; }}"
    )

    run(nginx, "-t", "-c", str(certificate / "main.conf"))


def test_haproxy_reads_its_file(certificate):
    haproxy = needs("haproxy")
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    text = text.replace("/etc/haproxy/tls/", str(certificate / "both.pem"))
    file = certificate / "haproxy.cfg"
    file.write_text(text.replace("/run/haproxy/", f"{certificate}/"))

    run(haproxy, "-c", "-f", str(file))


def test_systemd_reads_its_units(tmp_path):
    analyze = needs("systemd-analyze")
    for file in UNITS:
        text = file.read_text().replace("/opt/platform/bin/", f"{Path(sys.executable).parent}/")
        text = text.replace("/opt/platform/deploy/", f"{DEPLOY}/")
        (tmp_path / file.name).write_text(text)

    said = run(analyze, "verify", *(str(tmp_path / file.name) for file in UNITS))
    assert not [line for line in said.splitlines() if line.startswith("platform-")]


# --- What they must say -----------------------------------------------------------------------


@pytest.mark.parametrize("file", OF_PROGRAMS, ids=lambda file: file.stem)
def test_a_unit_is_hardened(file):
    service = unit(file)["Service"]

    assert HARDENED.items() <= dict(service).items()
    assert service["EnvironmentFile"] == "/etc/platform/environment"


def test_a_unit_waits_for_what_its_program_finishes():
    service = unit(DEPLOY / "systemd" / "platform-web.service")["Service"]
    spans = [int(each) for each in re.findall(r"--(?:drain|grace) (\d+)", service["ExecStart"])]

    assert len(spans) == 2
    assert int(service["TimeoutStopSec"]) > sum(spans)


def test_every_queue_has_one_unit_and_one_container():
    starts = [unit(file)["Service"]["ExecStart"] for file in UNITS]
    contained = [" ".join(each.get("command", [])) for each in compose()["services"].values()]

    for words in (starts, contained):
        queues = [name for each in BY_QUEUE.findall(" ".join(words)) for name in each.split(",")]
        assert sorted(queues) == sorted(settings.HEARTBEATS)
        assert sum(" beat " in f"{each} " for each in words) == 1


def test_every_program_that_runs_has_a_unit_and_a_container():
    rows = re.findall(r"^\| (\w+) \| `(.+?)` \|", RUNNING, re.MULTILINE)

    assert len(rows) == 5
    for name, program in rows:
        start = unit(DEPLOY / "systemd" / f"platform-{name}.service")["Service"]["ExecStart"]
        assert " ".join(program.split()[:3]) in start
        assert name in compose()["services"]


@pytest.mark.parametrize("name", ["beat", "jobs", "migrate", "rest", "runner", "web"])
def test_a_container_of_ours_is_nobodys_and_read_only(name):
    service = compose()["services"][name]

    assert service["user"] == "65534:65534"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_nobody():
    text = (DEPLOY / "Containerfile").read_text()
    last = text.rpartition("\nFROM ")[2]

    assert "USER 65534:65534" in last
    assert "--require-hashes -r requirements.lock" in text


def test_containers_set_what_there_is_to_set():
    for service in compose()["services"].values():
        if service.get("image") == "platform":
            assert service["environment"].keys() <= SETTINGS_OF_EXAMPLE


def test_only_the_one_that_migrates_is_the_owner():
    services = compose()["services"]
    owners = [n for n, s in services.items() if "//owner:" in str(s.get("environment"))]

    assert owners == ["migrate"]
    assert services["migrate"]["command"][-1].endswith("grants programs")


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("nginx/platform.conf", 'proxy_set_header Upgrade "";'),
        ("nginx/platform.conf", "proxy_set_header X-Forwarded-For $remote_addr;"),
        ("nginx/platform.conf", "proxy_next_upstream off;"),
        ("haproxy/haproxy.cfg", "http-request del-header Upgrade"),
        ("haproxy/haproxy.cfg", "option httpchk GET /serving"),
        ("haproxy/haproxy.cfg", "retries 0"),
        ("haproxy/haproxy.cfg", "http-error status 503 content-type application/json hdr Retry"),
        ("postgres/roles.sql", "ENCODING 'UTF8'"),
    ],
)
def test_what_the_product_relies_on_is_said(file, rule):
    assert rule in (DEPLOY / file).read_text()


def test_patroni_keeps_what_was_acknowledged_in_two_places():
    dcs = yaml.safe_load((DEPLOY / "postgres" / "patroni.yml").read_text())["bootstrap"]["dcs"]

    assert dcs["synchronous_mode"] is dcs["synchronous_mode_strict"] is True
    assert dcs["primary_start_timeout"] == 0
    assert dcs["postgresql"]["parameters"]["synchronous_commit"] == "on"


def test_patroni_gives_the_tls_that_its_own_rules_want():
    told = yaml.safe_load((DEPLOY / "postgres" / "patroni.yml").read_text())["postgresql"]

    assert [rule.split()[0] for rule in told["pg_hba"]] == ["local", "hostssl", "hostssl"]
    assert told["parameters"]["ssl"] == "on"


def test_redis_and_sentinel_know_one_password():
    redis = (DEPLOY / "redis" / "redis.conf").read_text()
    sentinel = (DEPLOY / "redis" / "sentinel.conf").read_text()
    wanted = re.findall(r"^(?:requirepass|masterauth|sentinel auth-pass credits) (.+)$",
                        redis + sentinel, re.MULTILINE)  # fmt: skip

    assert len(wanted) == 3
    assert len(set(wanted)) == 1


def test_pgbackrest_keeps_a_second_place():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((DEPLOY / "postgres" / "pgbackrest.conf").read_text())

    assert parser["global"]["repo2-type"] == "s3"
    assert parser["global"]["repo2-cipher-type"] == "aes-256-cbc"
