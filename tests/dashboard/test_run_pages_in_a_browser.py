"""Runs, workflows and webhooks in a real browser, on a machine that speaks as ComfyUI does.

With DASHBOARD_SHOTS=<folder> a picture of each page is left there.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from django.conf import settings as site_settings
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from in_process import site
from looks import LOOKS, SIZES, look
from playwright.sync_api import expect

from webhooks import endpoints, sending
from webhooks.models import Delivery

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from runs_stage import Stage, by, ended, picture, reached, slow

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("committed")]
GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 640, "height": 400, "color": 1_133_452},
        "_meta": {"title": "Ground"},
    },
    "2": {"class_type": "DemoSleep", "inputs": {"image": ["1", 0], "seconds": 0.4, "steps": 4}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "lamp"}},
    "10": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "ground"}},
}


@pytest.fixture
def url():
    cache.clear()
    with site() as address:
        yield address


@pytest.fixture
def ada(committed, make_member):
    return make_member("5.00")


@pytest.fixture
def stage(committed, tmp_path, settings):
    settings.DATA_DIR = tmp_path / "data"
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture
def come_in(url, page):
    def sign_in(member, context=None):
        client = Client(SERVER_NAME="localhost")
        client.force_login(member.user)
        name = site_settings.SESSION_COOKIE_NAME
        cookie = {"name": name, "value": client.cookies[name].value, "url": url}
        (context or page.context).add_cookies([cookie])

    return sign_in


def submit(member, graph, **more):
    from runs import core

    return core.submit(by(member, key=False), core.Ask(graph=graph, **more))


@pytest.fixture
def filled(stage, ada):
    """A workspace in which everything of these pages is there once."""
    from runs import workflows

    stage.worker(ada, per_second=400, per_output=2000)
    stage.start()
    workflow = workflows.make(
        ada.workspace_id, name="Lamp on a table", graph=GRAPH, by=ada.user.pk, accelerator="cpu"
    )
    good = ended(submit(ada, None, workflow_id=workflow.pk))
    bad = slow(0.2)
    bad["3"] = {"class_type": "DemoFail", "inputs": {"image": ["2", 0], "words": "No such model."}}
    bad["9"]["inputs"]["images"] = ["3", 0]
    failed = ended(submit(ada, bad))
    running = reached(submit(ada, slow(600.0, steps=1000)), "running")
    waiting = submit(ada, picture())
    endpoint, _secret = endpoints.make(
        ada.workspace_id, url="https://8.8.8.8/hooks", types=["run.failed", "run.succeeded"],
        name="Render queue", by=ada.user.pk,
    )  # fmt: skip
    broken, _secret = endpoints.make(
        ada.workspace_id, url="https://8.8.4.4/old", types=["credits.low"], name="", by=ada.user.pk
    )
    for number in range(3):
        at = timezone.now() - timedelta(minutes=number)
        Delivery.objects.create(
            endpoint=endpoint, key=f"k{number}", type="run.failed", created_at=at,
            body=orjson.dumps({"type": "run.failed", "data": {"id": str(failed.pk)}}).decode(),
            attempts=number + 1, last_status=(None, 500, 204)[number],
            last_error=("", "The receiver answered 500.", "")[number],
            next_try_at=None if number else at, delivered_at=at if number == 2 else None,
        )  # fmt: skip
    sending.switch_off(broken, reason=sending.GONE)
    yield {
        "workflow": workflow.pk, "good": good.pk, "failed": failed.pk, "running": running.pk,
        "waiting": waiting.pk, "endpoint": endpoint.pk, "broken": broken.pk,
    }  # fmt: skip
    stage.stop()


PAGES = {
    "runs": "/my/runs", "runs-now": "/my/runs?state=now", "runs-empty": "/my/runs?state=without",
    "run": "/my/runs/{good}", "run-failed": "/my/runs/{failed}", "run-now": "/my/runs/{running}",
    "run-waits": "/my/runs/{waiting}", "run-again": "/my/runs/{good}/again",
    "workflows": "/my/workflows", "workflow": "/my/workflows/{workflow}",
    "workflow-new": "/my/workflows/new", "workflow-version": "/my/workflows/{workflow}/version",
    "webhooks": "/my/webhooks", "webhook": "/my/webhooks/{endpoint}",
    "webhook-off": "/my/webhooks/{broken}", "webhook-new": "/my/webhooks/new",
    "presses": "/my/usage/presses",
}  # fmt: skip


def test_each_page_of_runs_reads_well(page, url, come_in, ada, filled, complaints):
    come_in(ada)
    for size, scheme in LOOKS:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for name, path in PAGES.items():
            page.goto(f"{url}{path.format(**filled)}")
            if name == "run-now":
                expect(page.locator(".preview img")).to_be_visible(timeout=20_000)
            look(page, f"{name}-{size}-{scheme}", complaints)
