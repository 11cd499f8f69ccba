"""The page of machines in a real browser: readable, and fitting, with machines in every state."""

from __future__ import annotations

import uuid

import pytest
from django.conf import settings
from django.utils import timezone
from in_process import site
from looks import LOOKS, SIZES, look

from desk import roles
from runs.models import Run, Worker

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]


@pytest.fixture
def url():
    with site() as address:
        yield address


@pytest.fixture
def machines(alice):
    """One in each state; what they have done was Alice's."""
    made = []
    for number, (state, health) in enumerate((
        ("active", "up"), ("active", "down"), ("draining", "up"), ("active", "unknown"),
    )):  # fmt: skip
        name = f"gpu-{uuid.uuid4().hex[:8]}"
        made.append(
            Worker.objects.create(
                name=name, base_url=f"http://{name}.test:8188", accelerator="A100_80GB",
                slots=number + 1, micros_per_second=900, micros_per_output=2000, state=state,
                health=health, seen_at=timezone.now(), reserved_for=[alice.workspace_id],
                error="It did not answer within 20 seconds." if health == "down" else "",
            )
        )  # fmt: skip
    now = timezone.now()
    for state, code, charged in (("succeeded", "", 61_300), ("failed", "x", 0)):
        Run.objects.create(
            id=uuid.uuid4(), workspace_id=alice.workspace_id, user_id=alice.user.pk,
            fingerprint="x", hold_id=uuid.uuid4(), max_micros=90_000, held_micros=90_000,
            micros_per_second=900, state=state, worker=made[0], prompt_id=uuid.uuid4(),
            claimed_at=now, ended_at=now, gpu_ms=68_111, charged_micros=charged, error_code=code,
            attempts=1,
        )  # fmt: skip
    yield made
    Worker.objects.filter(pk__in=[each.pk for each in made]).update(state="removed")


def test_machines_read_well(of_staff, url, page, machines, complaints):
    grace = of_staff(*roles.ROLES)
    name = settings.SESSION_COOKIE_NAME
    page.context.add_cookies(
        [{"name": name, "value": grace.browser.cookies[name].value, "url": url}]
    )
    for size, scheme in LOOKS:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for place in ("machines", "machines/add", f"machines/one/{machines[0].name}/remove"):
            page.goto(f"{url}/staff/{place}")
            look(page, f"staff-{place.split('/')[-1]}-{size}-{scheme}", complaints)
