"""Runs, workflows and webhooks in a real browser, on a machine that speaks as ComfyUI does.

With DASHBOARD_SHOTS=<folder> a picture of each page is left there.
"""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from django.conf import settings as site_settings
from django.core.cache import cache
from django.db import connections
from django.test import Client
from django.utils import timezone
from in_process import live_site
from looks import SIZES, look, look_in_chinese, read_in
from playwright.sync_api import expect

from webhooks import endpoints, sending
from webhooks.models import Delivery

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from runs_stage import Stage, by, ended, picture, reached, slow

ALLOWED = (
    # Django's own server for streams reads a file whole, and tells; ours does not. One that is cut
    # at the end of a test leaves the body of its request open.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
)
pytestmark = [pytest.mark.browser, pytest.mark.slow, *ALLOWED]
pytestmark += [pytest.mark.usefixtures("committed")]
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
    with live_site() as address:
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


def aside(work):
    """Do it in a thread: in this one is Playwright's loop, and some of ours has one, too."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


def hook(member, url, types, name=""):
    def make():
        try:
            return endpoints.make(
                member.workspace_id, url=url, types=types, name=name, by=member.user.pk
            )[0]
        finally:
            connections.close_all()

    return aside(make)


PICKER = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
}


def key_for_runs(member):
    key = member.api_key_record
    key.scopes = ["proxy", "runs"]
    key.save(update_fields=["scopes"])
    return key


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
    picker = workflows.make(ada.workspace_id, name="Negative", graph=PICKER, by=ada.user.pk)
    good = ended(submit(ada, None, workflow_id=workflow.pk))
    bad = slow(0.2)
    bad["3"] = {"class_type": "DemoFail", "inputs": {"image": ["2", 0], "words": "No such model."}}
    bad["9"]["inputs"]["images"] = ["3", 0]
    failed = ended(submit(ada, bad))
    running = reached(submit(ada, slow(600.0, steps=1000)), "running")
    waiting = submit(ada, picture())
    endpoint = hook(ada, "https://8.8.8.8/hooks", ["run.failed", "run.succeeded"], "Render queue")
    broken = hook(ada, "https://8.8.4.4/old", ["credits.low"])
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
    from common.money import usd
    from runs import address as run_addresses

    key = key_for_runs(ada)
    for terms in ({}, {"most": usd("0.25"), "seconds": 30 * 86_400}):
        run_addresses.make(key, **terms)
    yield {
        "workflow": workflow.pk, "good": good.pk, "failed": failed.pk, "running": running.pk,
        "waiting": waiting.pk, "endpoint": endpoint.pk, "broken": broken.pk,
        "picker": picker.pk, "key": key.pk,
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
    "presses": "/my/usage/presses", "run-preferences": "/my/runs/preferences",
    "workflow-file": "/my/workflows/{picker}", "key": "/my/keys/{key}",
    "key-address": "/my/keys/{key}/address",
}  # fmt: skip


DATA = (
    "Lamp on a table", "Render queue", "No such model.", "The receiver answered 500.",
    "DemoSleep", "DemoFail", "EmptyImage", "Negative", "LoadImage",
)  # fmt: skip
"""What people named, what a node and a receiver said, and classes of nodes."""


def test_each_page_of_runs_reads_well(page, url, come_in, ada, filled, complaints):
    come_in(ada)
    for size, scheme in (("phone", "light"), ("desk", "dark")):  # Each of the four, looked at once.
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for name, path in PAGES.items():
            page.goto(f"{url}{path.format(**filled)}")
            if name == "run-now":
                expect(page.locator(".preview img")).to_be_visible(timeout=20_000)
            look(page, f"{name}-{size}-{scheme}", complaints)
    read_in(page, url, "zh-hans")
    page.set_viewport_size(SIZES["phone"])
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    for name, path in PAGES.items():
        page.goto(f"{url}{path.format(**filled)}")
        look_in_chinese(page, f"{name}-zh", complaints, DATA)


def test_a_run_is_pasted_run_watched_and_called_off(page, url, come_in, ada, stage, complaints):
    stage.worker(ada, per_second=400)
    stage.start()
    come_in(ada)
    page.set_viewport_size(SIZES["desk"])
    page.goto(f"{url}/my/workflows")
    page.get_by_role("link", name="Paste a workflow").click()
    page.get_by_label("Name").fill("Slow lamp")
    page.get_by_label("The workflow, as JSON").fill('{"nodes": [], "links": []}')
    page.get_by_role("button", name="Keep the workflow").click()
    expect(page.get_by_text("Export (API), and send that file")).to_be_visible()
    complaints.clear()  # The browser tells of the 422.
    slow_graph = orjson.dumps(slow(0.1, steps=500)).decode()
    page.get_by_label("The workflow, as JSON").fill(slow_graph)
    page.get_by_role("button", name="Keep the workflow").click()
    page.get_by_label("DemoSleep: seconds").fill("300")
    page.get_by_role("button", name="Run it").click()

    expect(page.locator(".preview img")).to_be_visible(timeout=60_000)
    first = page.locator(".preview img").get_attribute("src")
    expect(page.locator(".preview img")).not_to_have_attribute("src", first, timeout=30_000)
    expect(page.get_by_text("step")).to_be_visible()
    expect(page.get_by_text("Look again")).to_have_count(0)
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".receipt .badge")).to_have_text("Canceled", timeout=60_000)
    expect(page.get_by_text("of the machine")).to_be_visible()
    look(page, "run-canceled", complaints)

    page.get_by_role("link", name="Run it again").click()
    page.get_by_label("DemoSleep: seconds").fill("0.2")
    page.get_by_label("EmptyImage: color").fill("1133452")
    page.get_by_role("button", name="Run it").click()
    expect(page.locator(".receipt .badge")).to_have_text("Succeeded", timeout=60_000)
    picture_of = page.locator(".made img")
    expect(picture_of).to_be_visible()
    assert picture_of.evaluate("each => each.naturalWidth") == 32


def test_a_run_is_looked_at_and_ended_without_script(url, come_in, ada, stage, browser):
    stage.worker(ada, per_second=400)
    stage.start()
    run = reached(submit(ada, slow(300.0, steps=500)), "running")
    context = browser.new_context(java_script_enabled=False, viewport=SIZES["phone"])
    come_in(ada, context=context)
    page = context.new_page()
    page.goto(f"{url}/my/runs/{run.pk}")
    page.get_by_role("link", name="Look again").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.get_by_text("What it has used is charged")).to_be_visible()
    ended(run)
    page.goto(f"{url}/my/runs/{run.pk}")
    expect(page.locator(".receipt .badge")).to_have_text("Canceled")
    context.close()


def test_a_picture_is_picked_and_run_without_script(url, come_in, ada, stage, browser, tmp_path):
    from PIL import Image

    from runs import workflows

    stage.worker(ada, per_second=400)
    stage.start()
    made = workflows.make(ada.workspace_id, name="Negative", graph=PICKER, by=ada.user.pk)
    Image.new("RGB", (40, 30), (0, 0, 0)).save(tmp_path / "night.png")
    context = browser.new_context(java_script_enabled=False, viewport=SIZES["phone"])
    come_in(ada, context=context)
    page = context.new_page()
    page.goto(f"{url}/my/workflows/{made.pk}")

    page.get_by_label("Or a file of yours: LoadImage: image").set_input_files(
        tmp_path / "night.png"
    )
    page.get_by_role("button", name="Run it").click()
    run = ended(aside(lambda: newest_of(ada)))
    page.reload()

    expect(page.locator(".receipt .badge")).to_have_text("Succeeded")
    assert run.graph["1"]["inputs"]["image"] == "night.png"
    file = page.locator(".made img")
    assert file.evaluate("each => [each.naturalWidth, each.naturalHeight]") == [40, 30]
    context.close()


def newest_of(member):
    from runs.models import Run

    try:
        return Run.objects.filter(workspace_id=member.workspace_id).latest("created_at")
    finally:
        connections.close_all()


def test_an_address_is_made_at_the_keys_page_and_copied(page, url, come_in, ada, complaints):
    key = key_for_runs(ada)
    come_in(ada)
    page.set_viewport_size(SIZES["phone"])
    page.goto(f"{url}/my/keys/{key.pk}")
    page.get_by_role("link", name="Make an address").click()
    page.get_by_label("Most that a run by it may cost").fill("0.50")
    page.get_by_role("button", name="Make the address").click()

    expect(page.locator("[data-key]")).to_have_text(re.compile(r"/run/rt_[0-9a-f]{64}$"))
    look(page, "key-address-made", complaints)
