"""The pages of a team: who is in it, what each may spend, asking for more, the workspaces."""

import uuid

import pytest
from django.utils import timezone
from page_text import text

from accounts import invitations, signins, teams
from accounts.models import Invitation, Membership, SignIn, Workspace
from apikeys import allowances, asks, keys
from apikeys.models import ApiKey, Ask
from common.money import usd
from outbox.models import Mail


def role_of(studio, member):
    found = Membership.objects.filter(workspace=studio.id, user=member.user).first()
    return found and found.role


def test_a_team_is_made_and_acted_for(alice, signed_in):
    browser = signed_in(alice)

    answer = browser.post("/my/team/new", {"name": "  Lumen   Yard "}, follow=True)

    assert "Lumen Yard" in text(answer)
    made = Workspace.objects.get(name="Lumen Yard")
    assert browser.session["workspace"] == str(made.pk)
    assert "Available" in text(answer)
    assert browser.post("/my/team/new", {"name": " "}).status_code == 400


def test_one_switches_between_workspaces_that_one_belongs_to(studio, alice, bob):
    assert "Studio" in text(studio.member.get("/my/"))
    own = bob.workspace_id

    studio.member.post("/my/workspace", {"workspace": own})
    assert "Available in Studio" not in text(studio.member.get("/my/"))
    for other in (alice.workspace_id, uuid.uuid4(), "x", ""):
        assert studio.member.post("/my/workspace", {"workspace": other}).status_code == 404
    assert studio.member.session["workspace"] == str(own)


def test_an_owner_invites_again_and_withdraws(studio):
    form = {"email": "Noor@Example.org", "role": "billing"}

    studio.owner.post("/my/team/invite", form)
    assert "noor@example.org is invited" in text(
        studio.owner.post("/my/team/invite", form, follow=True)
    )
    assert Mail.objects.filter(to="noor@example.org").count() == 2
    (one,) = invitations.pending(studio.id)
    studio.owner.post(f"/my/team/invitations/{one.pk}/withdraw")
    assert Invitation.objects.get(pk=one.pk).withdrawn_at
    for wrong in ({"email": "x"}, {"role": "owner"}, {"email": ""}):
        assert studio.owner.post("/my/team/invite", form | wrong).status_code == 400


def test_who_belongs_to_it_already_is_said_at_the_form(studio, bob):
    answer = studio.owner.post("/my/team/invite", {"email": bob.user.email, "role": "member"})

    assert answer.status_code == 400
    assert "belongs to this team already" in text(answer)


def test_a_role_is_changed_and_the_ownership_passes_on(studio, alice, bob):
    where = f"/my/team/{bob.user.pk}"

    studio.owner.post(f"{where}/role", {"role": "billing"})
    assert role_of(studio, bob) == "billing"
    assert studio.owner.post(f"{where}/role", {"role": "owner"}).status_code == 404
    assert "the owner?" in text(studio.owner.get(f"{where}/transfer"))
    studio.owner.post(f"{where}/transfer")
    assert (role_of(studio, bob), role_of(studio, alice)) == ("owner", "member")


def test_who_is_removed_is_asked_about_first_and_loses_their_keys(studio, bob):
    whole, _key = keys.issue(workspace_id=studio.id, user_id=bob.user.pk, name="x")
    where = f"/my/team/{bob.user.pk}/remove"

    assert "All their keys here end at once" in text(studio.owner.get(where))
    assert role_of(studio, bob)
    studio.owner.post(where)

    assert role_of(studio, bob) is None
    assert not keys.living().filter(digest__in=keys.digests(whole)).exists()


def test_a_member_leaves_and_an_owner_cannot(studio, alice, bob):
    assert studio.owner.post(f"/my/team/{alice.user.pk}/remove").status_code == 400
    assert studio.member.post(f"/my/team/{bob.user.pk}/remove")["Location"] == "/my/"

    assert role_of(studio, bob) is None
    assert studio.member.get("/my/").status_code == 200, "in their own workspace"


def test_a_member_sees_themselves_alone(studio, alice, bob):
    page = text(studio.member.get("/my/team"))

    assert bob.user.email in page
    assert alice.user.email not in page
    assert "Invite" not in page
    assert studio.member.get(f"/my/team/{alice.user.pk}").status_code == 404
    assert studio.member.get(f"/my/team/{bob.user.pk}").status_code == 200


def test_a_member_asks_for_more_and_the_owner_allows_it_with_one_click(studio, bob):
    ask = {"amount": "20", "period": "month", "note": "Ten more props."}

    studio.member.post("/my/limits/ask", ask)
    assert "You asked for $20.00 a month" in text(studio.member.get("/my/limits"))
    page = text(studio.owner.get("/my/team"))
    assert "would spend $20.00 a month" in page
    assert "Ten more props." in page
    (one,) = Ask.objects.filter(workspace=studio.id)
    studio.owner.post(f"/my/team/asks/{one.pk}/answer", {"answer": "allow"})

    assert allowances.own(studio.id, "member", str(bob.user.pk)) == {"month": usd("20")}
    again = studio.owner.post(f"/my/team/asks/{one.pk}/answer", {"answer": "allow"})
    assert again.status_code == 404
    for wrong in ({"amount": "0"}, {"amount": ""}, {"period": "year"}, {"note": "x" * 301}):
        assert studio.member.post("/my/limits/ask", ask | wrong).status_code == 400


def test_what_is_declined_changes_nothing(studio, bob):
    one = asks.ask(studio.id, period="day", limit=usd("9"), note="", by=bob.user.pk)

    studio.owner.post(f"/my/team/asks/{one.pk}/answer", {"answer": "decline"})

    assert Ask.objects.get(pk=one.pk).granted is False
    assert allowances.own(studio.id, "member", str(bob.user.pk)) == {}


def test_the_tree_shows_whoever_has_a_limit_below_whom_they_are(studio, alice, bob):
    _whole, key = keys.issue(workspace_id=studio.id, user_id=bob.user.pk, name="Bobs key")
    ApiKey.objects.filter(pk=key.pk).update(project="Kite & film")
    for kind, of, form in (
        ("workspace", "", {"month": "400"}),
        ("each_member", "", {"week": "30"}),
        ("project", "Kite %26 film", {"total": "90"}),
        ("member", bob.user.pk, {"day": "8", "month": "40"}),
    ):
        answer = studio.owner.post(f"/my/limits/{kind}?of={of}", form)
        assert answer.status_code == 302, text(answer)
    allowances.set_rule(studio.id, "key", str(key.pk), "day", usd("5"), by=alice.user.pk)

    page = text(studio.owner.get("/my/limits"))

    for said in (
        "$400.00 a month",
        "$30.00 a week",
        "$90.00 in total",
        "$8.00 a day",
        "of $5.00 a day",
    ):
        assert said in page, said
    order = ("Project Kite &amp; film", f"> {bob.user.name} <", "Key Bobs key")
    assert all(each in page for each in order), page
    assert sorted(order, key=page.index) == list(order)
    bobs = text(studio.member.get("/my/limits"))
    assert "$8.00 a day" in bobs
    assert "$400.00" not in bobs
    assert "Kite &amp; film" in bobs, "his key is for it"
    filled = text(studio.owner.get(f"/my/limits/member?of={bob.user.pk}"))
    assert 'value="8.00"' in filled
    studio.owner.post(f"/my/limits/member?of={bob.user.pk}", {"month": "40"})
    assert allowances.own(studio.id, "member", str(bob.user.pk)) == {"month": usd("40")}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/my/limits/key", 404), ("/my/limits/nobody", 404),
        ("/my/limits/member?of=x", 404), (f"/my/limits/member?of={uuid.UUID(int=3)}", 404),
        ("/my/limits/project", 400), (f"/my/limits/project?of={'x' * 65}", 400),
        ("/my/limits/workspace?of=%00", 200),
    ],
)  # fmt: skip
def test_whom_nobody_limits_here_is_not_there(studio, path, status):
    assert studio.owner.get(path).status_code == status


def test_the_vendors_of_a_workspace_are_chosen(studio):
    assert "All vendors that are switched on." in text(studio.owner.get("/my/team"))

    studio.owner.post("/my/team/vendors", {"which": "some", "vendors": ["bfl", "kling"]})
    assert Workspace.objects.get(pk=studio.id).allowed_vendors == ["bfl", "kling"]
    assert "bfl, kling" in text(studio.owner.get("/my/team"))
    assert (
        studio.owner.post("/my/team/vendors", {"which": "some", "vendors": ["x"]}).status_code
        == 400
    )
    studio.owner.post("/my/team/vendors", {"which": "all", "vendors": ["bfl"]})
    assert Workspace.objects.get(pk=studio.id).allowed_vendors is None


def test_one_takes_another_name_and_signs_a_comfyui_out(alice, signed_in):
    browser = signed_in(alice)
    signins.begin(
        user=alice.user, workspace_id=alice.workspace_id, client_id="x",
        redirect_uri="http://127.0.0.1:8188/", challenge="x" * 43,
    )  # fmt: skip
    SignIn.objects.filter(user=alice.user).update(code_used_at=timezone.now())
    one = SignIn.objects.get(user=alice.user)

    browser.post("/my/settings", {"name": " Alice  B. "})
    page = text(browser.get("/my/settings"))
    assert "Alice B." in page
    assert "127.0.0.1:8188" in page
    browser.post(f"/my/programs/{one.pk}/end")
    assert "127.0.0.1:8188" not in text(browser.get("/my/settings"))
    assert browser.post("/my/settings", {"name": "x" * 101}).status_code == 400


@pytest.mark.parametrize("path", ["/my/team", "/my/limits", "/my/settings"])
def test_a_page_asks_no_more_however_many_there_are(
    studio, make_member, django_assert_max_num_queries, path
):
    team = Workspace.objects.get(pk=studio.id)
    owner = teams.members(team.pk).get(role="owner").user_id
    for _ in range(4):
        one = make_member("0")
        teams.join(team, one.user, role="member", by=owner)
        allowances.set_rule(team.pk, "member", str(one.user.pk), "day", usd("1"), by=owner)
        asks.ask(team.pk, period="week", limit=1, note="", by=one.user.pk)
    studio.owner.get(path)

    with django_assert_max_num_queries(20):
        assert studio.owner.get(path).status_code == 200
