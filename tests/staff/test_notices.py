"""What all members are told, and that new calls are paused: put up, seen, taken down, noted."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.models import Event
from common.errors import InvalidRequest, Maintained
from desk import banners, maintenance
from desk.models import Banner, Maintenance


def pages_of(member):
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(member.user, "allauth.account.auth_backends.AuthenticationBackend")
    return lambda: browser.get("/my/").content.decode()


def typed(at):
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def test_a_banner_stands_on_members_pages_and_on_those_of_staff_until_it_is_taken_down(olga, alice):
    home = pages_of(alice)
    olga.post("notices/banner", words="Kling is <slow> today.", level="warning")
    banner = Banner.objects.get(words="Kling is <slow> today.")

    assert "Kling is &lt;slow&gt; today." in home()
    assert "Kling is &lt;slow&gt; today." in olga.text("money")
    assert olga.post(f"notices/banner/{banner.pk}/down").status_code == 302
    assert "slow" not in home()
    assert Event.objects.filter(action="banner.taken_down", target=str(banner.pk)).exists()


def test_it_stands_there_from_its_instant_until_its_other_and_for_whom_it_is(olga, alice):
    home, now = pages_of(alice), timezone.now()
    olga.post("notices/banner", words="To come", level="info", begins_at=typed(now + timedelta(1)))
    olga.post(
        "notices/banner", words="Is over", level="info", begins_at=typed(now - timedelta(2)),
        ends_at=typed(now - timedelta(1)),
    )  # fmt: skip
    olga.post("notices/banner", words="Among us", level="info", for_staff="on")

    said = home()

    assert not any(words in said for words in ("To come", "Is over", "Among us"))
    assert "Among us" in olga.text("money")
    listed = olga.text("notices")
    assert all(words in listed for words in ("To come", "Is over", "Among us"))


@pytest.mark.parametrize(
    "form",
    [
        {"words": "", "level": "info"},
        {"words": "x" * 301, "level": "info"},
        {"words": "x", "level": "loud"},
        {"words": "x", "level": "info", "begins_at": "yesterday"},
        {"words": "x", "level": "info", "ends_at": "2020-01-01T00:00:00"},
    ],
)
def test_what_is_no_banner_is_refused(olga, form):
    before = Banner.objects.count()

    assert olga.post("notices/banner", **form).status_code == 400

    assert Banner.objects.count() == before


def test_the_worst_is_told_first_and_a_maintenance_is_among_them(olga, db):
    now = timezone.now()
    for level in ("info", "warning"):
        banners.put_up(level, level=level, begins_at=now - timedelta(1), ends_at=None,
                       for_staff=False, by=olga.user.pk)  # fmt: skip
    maintenance.begin("We move.", until=None, by=olga.user.pk)

    assert [each.words for each in banners.now()][:3] == ["We move.", "warning", "info"]


def test_calls_are_paused_and_taken_again_by_operations_with_a_sentence(olga, fay, alice):
    assert fay.post("notices/pause", sentence="x").status_code == 403
    assert olga.post("notices/pause", sentence="").status_code == 400
    olga.post("notices/pause", sentence="We move until noon.")
    with pytest.raises(Maintained, match="until noon"):
        maintenance.require_none()
    assert "We move until noon." in pages_of(alice)()

    olga.post("notices/pause", sentence="We move until two.")
    olga.post("notices/resume", reason="moved")

    maintenance.require_none()
    assert not Maintenance.objects.exists()
    noted = Event.objects.filter(action__startswith="maintenance.", actor_id=olga.user.pk)
    assert [each.action for each in noted.order_by("id")] == [
        "maintenance.began", "maintenance.began", "maintenance.ended",
    ]  # fmt: skip


def test_a_shell_pauses_and_resumes_too(olga):
    def told(*given):
        out = StringIO()
        call_command("maintenance", *given, "--json", stdout=out)
        return json.loads(out.getvalue())

    by = ("--by", olga.user.email)
    assert told("show")["paused"] is False
    begun = told("begin", *by, "--reason", "We move.", "--minutes", "30")
    again = told("begin", *by, "--reason", "Still.")
    assert (begun["sentence"], again["sentence"], again["until"]) == ("We move.", "Still.", None)
    assert told("end", *by, "--reason", "done")["paused"] is False
    assert told("end", *by, "--reason", "done")["paused"] is False


def test_how_long_clients_are_told_to_wait():
    seconds = {left: maintenance.refusal(("x", left)).headers["Retry-After"]
               for left in (None, -5.0, 1.0, 90.0, 1e9)}  # fmt: skip

    assert list(seconds.values()) == ["60", "60", "5", "90", "120"]


def test_a_sentence_is_needed(olga):
    with pytest.raises(InvalidRequest):
        maintenance.begin(" ", until=None, by=olga.user.pk)
