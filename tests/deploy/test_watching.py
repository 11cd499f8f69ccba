"""The dashboard asks for what there is; what several processes count, one scrape tells."""

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from config import counted
from config.health import _counted
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
BOARD = json.loads((ROOT / "deploy" / "grafana" / "platform.json").read_text())
PANELS = [each for each in BOARD["panels"] if each["type"] != "row"]
ASKED = sorted({target["expr"] for panel in PANELS for target in panel["targets"]})
METRIC = re.compile(r"\bplatform_[a-z_]+")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
SECTIONS = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)


@pytest.fixture
def told(db, settings):
    settings.METRICS_TOKEN = "for-prometheus"
    answer = Client().get("/metrics", headers={"Authorization": "Bearer for-prometheus"})
    return {each.name: each for each in text_string_to_metric_families(answer.content.decode())}


@pytest.mark.parametrize("asked", ASKED)
def test_a_query_names_what_is_told(asked, told):
    named = {SUFFIX.sub("", each) for each in METRIC.findall(asked)}

    assert named <= told.keys()
    assert named or asked.startswith("count(up{")


def test_all_that_is_told_of_us_is_shown(told):
    named = {SUFFIX.sub("", each) for asked in ASKED for each in METRIC.findall(asked)}

    ours = {each for each in told if re.fullmatch(r"platform_\w+(?<!_created)", each)}
    assert ours <= named


def test_a_panel_has_its_place_and_leads_to_a_page_that_is_there():
    taken = [tuple(panel["gridPos"][each] for each in "xy") for panel in BOARD["panels"]]
    led = re.findall(r"(\w+) in docs/runbook.md", " ".join(each["description"] for each in PANELS))

    assert len(set(taken)) == len(taken)
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(taken)
    assert {*led} <= {*SECTIONS}
    assert len(led) > 5


def test_prometheus_asks_for_the_job_that_alarms_name():
    read = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())

    assert [each["job_name"] for each in read["scrape_configs"]] == ["platform"]
    assert read["rule_files"] == ["alerts.yml"]


# --- Several processes ------------------------------------------------------------------------

COUNTING = """
from common import metrics
metrics.SHORTFALLS.inc({n})
metrics.SETTLE_LAG.observe(0.02)
metrics.outcome("bfl", "delivered")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(counted.FOLDER, str(tmp_path))
    return tmp_path


def count(folder, n):
    """Have a process count, and end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), counted.FOLDER: str(folder)}
    words = [sys.executable, "-c", COUNTING.format(n=n)]
    subprocess.run(words, env=environment, cwd=ROOT, check=True)


def sums():
    families = text_string_to_metric_families(_counted().decode())
    return {
        each.name: each.value
        for family in families
        for each in family.samples
        if each.name.endswith(("_total", "_count"))
    }


WANTED = {
    "platform_shortfalls_total": 9.0,
    "platform_settle_seconds_count": 3.0,
    "platform_vendor_outcomes_total": 3.0,
}


@pytest.mark.system
def test_one_scrape_adds_up_what_all_processes_counted_also_those_that_ended(folder):
    for n in (2, 3, 4):
        count(folder, n)
    before = sums()
    assert len(list(folder.glob("counter_[0-9]*.db"))) == 3
    assert WANTED.items() <= before.items()

    assert counted.join_the_dead(folder) == 6

    assert sums() == before, "a sum that falls would be taken for a new beginning"
    assert sorted(each.name for each in folder.glob("*.db")) == [
        "counter_ended.db",
        "histogram_ended.db",
    ]
    count(folder, 1)
    assert counted.join_the_dead(folder) == 2
    assert sums()["platform_shortfalls_total"] == 10.0


@pytest.mark.system
def test_the_file_of_who_lives_is_left_alone(folder):
    count(folder, 2)
    (file,) = folder.glob("counter_*.db")
    file.rename(folder / f"counter_{os.getpid()}.db")

    counted.join_the_dead(folder)

    assert (folder / f"counter_{os.getpid()}.db").exists()


def test_nothing_is_joined_while_somebody_adds_up(folder):
    with (
        counted.locked(folder),
        (folder / counted.LOCK).open() as other,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_several_processes_have_a_folder_though_none_is_set(monkeypatch, tmp_path):
    monkeypatch.delenv(counted.FOLDER, raising=False)
    monkeypatch.setattr(counted.tempfile, "tempdir", str(tmp_path))
    counted.together(processes=1)
    assert counted.FOLDER not in os.environ

    counted.together(processes=2)

    assert Path(os.environ[counted.FOLDER]).parent == tmp_path
    del os.environ[counted.FOLDER]  # By monkeypatch it would come back afterwards.
