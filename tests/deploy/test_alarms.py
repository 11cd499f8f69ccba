"""Each alarm speaks of what /metrics tells, and has a section in the runbook."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from common import errors

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
SECTIONS = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
METRIC = re.compile(r"\bplatform_[a-z_]+")
OF_FAMILY = re.compile(r"_(total|bucket|sum|count)$")


@pytest.fixture
def told(db, settings):
    settings.METRICS_TOKEN = "for-prometheus"
    answer = Client().get("/metrics", headers={"Authorization": "Bearer for-prometheus"})
    assert answer.status_code == 200
    return {each.name for each in text_string_to_metric_families(answer.content.decode())}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_speaks_of_what_there_is(rule, told):
    named = {OF_FAMILY.sub("", each) for each in METRIC.findall(rule["expr"])}

    assert named <= told
    assert named or rule["expr"].startswith("up{")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_has_its_section(rule):
    assert rule["alert"] in SECTIONS
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert rule["labels"]["severity"] in ("page", "ticket")


def test_a_reason_that_is_counted_is_a_refusal_of_ours():
    reasons = re.findall(r'reason="(\w+)"', FILE.read_text())
    codes = {each.code for each in vars(errors).values() if hasattr(each, "code")}

    assert reasons
    assert codes >= {*reasons}


def test_no_section_is_of_an_alarm_that_is_gone():
    assert [rule["alert"] for rule in RULES] == SECTIONS


def test_prometheus_reads_the_rules():
    promtool = shutil.which("promtool") or pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "rules", str(FILE)], capture_output=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
