"""The pages of keys: made and shown once, limited, rotated, disabled, revoked."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from page_text import text

from accounts import teams
from apikeys import allowances, keys, limited, states
from apikeys.limited import Limits
from apikeys.models import ApiKey
from common.errors import Unauthorized
from common.money import usd
from runs import address as run_addresses

NEW = {"name": "Render farm", "scopes": ["proxy"], "which": "all"}


def key_in(answer):
    return re.search(r"<code data-key>(comfyui-[0-9a-z-]{64})</code>", answer.content.decode())[1]


def made(browser, **form):
    answer = browser.post("/my/keys/new", NEW | form)
    assert answer.status_code == 200, text(answer)
    return key_in(answer), ApiKey.objects.latest("created_at")


def test_a_key_is_shown_once_and_works_as_it_was_asked_for(alice, signed_in):
    browser = signed_in(alice)

    whole, key = made(
        browser, scopes=["proxy", "usage:read"], which="some", vendors=["bfl", "kling"],
        networks="192.0.2.0/24\n2001:db8::/32", call_limit="2.50", day="5", month="60.00",
        project="Kite film", pace="30", ends_on="2099-12-31",
    )  # fmt: skip

    assert keys.authenticate(whole, address="192.0.2.7").pk == key.pk
    assert key.allowed_vendors == ["bfl", "kling"]
    assert key.allowed_networks == ["192.0.2.0/24", "2001:db8::/32"]
    assert key.call_limit_micros == usd("2.50")
    assert key.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
    own = limited.of(key)
    assert (own.project, own.pace) == ("Kite film", 30)
    assert (own.amounts["day"], own.amounts["month"]) == (usd("5"), usd("60"))
    for page in ("/my/keys", f"/my/keys/{key.pk}", f"/my/keys/{key.pk}/change"):
        shown = browser.get(page).content.decode()
        assert key.prefix in shown or "Change the key" in shown
        assert whole not in shown


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": ""}, "required"),
        ({"scopes": []}, "required"),
        ({"scopes": ["staff"]}, "not one of the available choices"),
        ({"which": "some"}, "Choose at least one."),
        ({"which": "some", "vendors": ["nobody"]}, "not one of the available choices"),
        ({"networks": "everywhere"}, "does not appear to be an IPv4 or IPv6 network"),
        ({"call_limit": "-1"}, "greater than or equal"),
        ({"call_limit": "NaN"}, "Enter a number"),
        ({"month": "1e99"}, "less than or equal"),
        ({"ends_on": "2020-01-01"}, "This day is over"),
        ({"ends_on": "9999-12-31"}, "This day is over"),
        ({"pace": "0"}, "greater than or equal"),
        ({"project": "x" * 65}, "at most 64"),
        ({"name": "a\0b"}, "Null characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_no_key_is_made(alice, signed_in, wrong, says):
    before = ApiKey.objects.count()

    answer = signed_in(alice).post("/my/keys/new", NEW | wrong)

    assert answer.status_code == 400
    assert says in text(answer)
    assert ApiKey.objects.count() == before


def test_the_list_says_what_is_left_of_the_nearest_limit(alice, signed_in):
    browser = signed_in(alice)
    made(browser, day="5", month="60.00")
    allowances.set_rule(
        alice.workspace_id, "key", str(alice.api_key_record.pk), "week", usd("7"), by=alice.user.pk
    )

    page = text(browser.get("/my/keys"))

    assert "$7.00 left" in page
    assert "of $7.00 a week" in page
    assert "of $5.00 a day" in page or "of $60.00 a month" in page
    assert alice.api_key_record.prefix in page


def test_what_was_not_touched_stays(alice, signed_in):
    browser, key = signed_in(alice), alice.api_key_record
    end = timezone.now() + timedelta(hours=30)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=end, scopes=["proxy", "billing:manage"])
    shown = browser.get(f"/my/keys/{key.pk}/change").context["form"]
    filled = {name: shown[name].value() for name in shown.fields}
    filled = {name: value for name, value in filled.items() if value not in (None, "")}
    filled["ends_on"] = filled["ends_on"].isoformat()

    answer = browser.post(f"/my/keys/{key.pk}/change", filled | {"name": "Other"})

    assert answer.status_code == 302, text(answer)
    key.refresh_from_db()
    assert (key.name, key.expires_at, key.scopes) == ("Other", end, ["proxy", "billing:manage"])


def test_limits_are_changed_and_taken_away(alice, signed_in):
    browser, key = signed_in(alice), alice.api_key_record
    form = {**NEW, "name": key.name, "scopes": key.scopes}

    browser.post(f"/my/keys/{key.pk}/change", form | {"day": "3", "pace": "9"})
    own = limited.of(ApiKey.objects.get(pk=key.pk))
    assert (own.amounts["day"], own.pace) == (usd("3"), 9)
    browser.post(f"/my/keys/{key.pk}/change", form)
    assert limited.of(ApiKey.objects.get(pk=key.pk)) == Limits(
        amounts=dict.fromkeys(("day", "week", "month", "total"))
    )


def test_a_rotated_key_leaves_a_successor_and_works_on_for_a_while(alice, signed_in):
    browser = signed_in(alice)

    answer = browser.post(f"/my/keys/{alice.api_key_record.pk}/rotate", {"days": "1"})

    successor = key_in(answer)
    assert "a day more" in text(answer)
    assert keys.authenticate(successor, address="").replaces_id == alice.api_key_record.pk
    assert keys.authenticate(alice.key, address="").pk == alice.api_key_record.pk
    again = browser.post(f"/my/keys/{alice.api_key_record.pk}/rotate", {"days": "1"})
    assert again.status_code == 400
    assert "has a successor already" in text(again)


def test_a_key_is_disabled_enabled_and_revoked(alice, signed_in):
    browser, where = signed_in(alice), f"/my/keys/{alice.api_key_record.pk}"

    browser.post(f"{where}/disable")
    assert "Disabled" in text(browser.get(where))
    browser.post(f"{where}/enable")
    assert keys.authenticate(alice.key, address="")
    for _ in range(2):  # A second click is told the same.
        assert browser.post(f"{where}/revoke")["Location"] == "/my/keys"
    assert "Revoked" in text(browser.get(where))
    assert alice.api_key_record.prefix not in text(browser.get("/my/keys"))


def test_all_of_ones_own_keys_are_revoked_and_nobody_elses(studio, alice, bob):
    mine, theirs = (
        keys.issue(workspace_id=studio.id, user_id=each.user.pk, name="x")[1]
        for each in (alice, bob)
    )
    assert "1 key in" in text(studio.member.get("/my/keys/revoke-all"))

    studio.member.post("/my/keys/revoke-all")

    assert ApiKey.objects.get(pk=theirs.pk).revoked_at
    assert not ApiKey.objects.get(pk=mine.pk).revoked_at
    assert not ApiKey.objects.get(pk=bob.api_key_record.pk).revoked_at, "of another workspace"


def test_an_owner_sees_everybodys_keys_a_member_their_own(studio, alice, bob):
    mine, theirs = (
        keys.issue(workspace_id=studio.id, user_id=each.user.pk, name=name)[1]
        for each, name in ((alice, "of alice"), (bob, "of bob"))
    )

    assert "of bob" not in text(studio.owner.get("/my/keys"))
    everybodys = text(studio.owner.get("/my/keys?of=all"))
    assert "of bob" in everybodys
    assert bob.user.email in everybodys
    assert "of alice" not in text(studio.member.get("/my/keys?of=all"))
    assert studio.owner.get(f"/my/keys/{theirs.pk}").status_code == 200
    assert studio.member.get(f"/my/keys/{mine.pk}").status_code == 404


KEY_PAGES = ["", "/change", "/rotate", "/disable", "/enable", "/revoke"]


@pytest.mark.parametrize("page", KEY_PAGES)
def test_anothers_key_is_not_there(alice, bob, signed_in, page):
    browser, where = signed_in(bob), f"/my/keys/{alice.api_key_record.pk}{page}"

    for answer in (browser.get(where), browser.post(where, NEW)):
        assert answer.status_code in (404, 405)
    assert keys.authenticate(alice.key, address="").name == "laptop"


def test_nobody_gives_a_key_more_than_they_may(studio):
    offered = text(studio.member.get("/my/keys/new"))

    assert "Manage keys" in offered
    assert "Manage how the workspace pays" not in offered
    answer = studio.member.post("/my/keys/new", NEW | {"scopes": ["billing:manage"]})
    assert answer.status_code == 400


def test_without_the_proof_of_a_page_nothing_is_done(alice, signed_in):
    elsewhere = Client(enforce_csrf_checks=True, SERVER_NAME="localhost")
    elsewhere.cookies = signed_in(alice).cookies

    answer = elsewhere.post(f"/my/keys/{alice.api_key_record.pk}/revoke")

    assert answer.status_code == 403
    assert keys.authenticate(alice.key, address="")


@pytest.mark.parametrize("path", ["/my/keys", "/my/keys?of=all", "/my/keys/{key}"])
def test_a_page_of_keys_asks_no_more_however_many_there_are(
    alice, signed_in, django_assert_max_num_queries, path
):
    browser, path = signed_in(alice), path.format(key=alice.api_key_record.pk)
    for _ in range(8):
        _whole, key = keys.issue(
            workspace_id=alice.workspace_id, user_id=alice.user.pk, name=uuid.uuid4().hex
        )
        allowances.set_rule(
            alice.workspace_id, "key", str(key.pk), "day", usd("1"), by=alice.user.pk
        )
    browser.get(path)

    with django_assert_max_num_queries(18):
        assert browser.get(path).status_code == 200


def test_a_member_may_not_widen_what_the_owner_set(studio, bob):
    _whole, key = keys.issue(workspace_id=studio.id, user_id=bob.user.pk, name="bobs")
    owner = teams.members(studio.id).get(role="owner").user_id
    allowances.set_rule(studio.id, "key", str(key.pk), "day", usd("1"), by=owner)

    answer = studio.member.post(
        f"/my/keys/{key.pk}/change", NEW | {"scopes": key.scopes, "day": "9"}
    )

    assert answer.status_code == 403
    assert "You can ask for more" in text(answer)
    assert ApiKey.objects.get(pk=key.pk).name == "bobs"


def test_an_address_for_scripts_is_made_of_ones_own_key_with_terms_of_its_own(alice, signed_in):
    browser, key = signed_in(alice), alice.api_key_record
    key.scopes = ["runs"]
    key.save(update_fields=["scopes"])
    path = f"/my/keys/{key.pk}/address"

    assert path in text(browser.get(f"/my/keys/{key.pk}"))
    page = text(browser.post(path, {"most": "0.25", "days": "7"}))
    token = re.search(r"/run/(rt_\w+)", page)[1]

    shown = run_addresses.authenticate(token, address="127.0.0.1")
    assert (shown.pk, shown.address_micros) == (key.pk, 250_000)
    assert browser.post(path, {"most": "-1", "days": "7"}).status_code == 400
    end = f"/my/keys/{key.pk}/addresses/{shown.address_id}/end"
    page = text(browser.get(f"/my/keys/{key.pk}"))
    assert (end in page, token in page) == (True, False)
    assert browser.get(end).status_code == 405
    assert browser.post(end).status_code == 302
    assert browser.post(end).status_code == 404
    assert end not in text(browser.get(f"/my/keys/{key.pk}"))
    with pytest.raises(Unauthorized):
        run_addresses.authenticate(token, address="127.0.0.1")
    key.scopes = ["proxy"]
    key.save(update_fields=["scopes"])
    assert browser.get(path).status_code == 403
    assert path not in text(browser.get(f"/my/keys/{key.pk}"))


def test_nobody_makes_an_address_of_a_key_that_is_not_theirs_or_has_ended(alice, bob, signed_in):
    hers = f"/my/keys/{alice.api_key_record.pk}/address"

    assert signed_in(bob).post(hers, {"days": "0"}).status_code == 404
    made = run_addresses.make(alice.api_key_record)
    end = f"/my/keys/{alice.api_key_record.pk}/addresses/{made.pk}/end"
    assert signed_in(bob).post(end).status_code == 404
    end = f"/my/keys/{bob.api_key_record.pk}/addresses/{made.pk}/end"
    assert signed_in(bob).post(end).status_code == 404
    states.revoke(alice.api_key_record, by=alice.user.pk, reason="test")
    assert signed_in(alice).post(hers, {"days": "0"}).status_code == 404
