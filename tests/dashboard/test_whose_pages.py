"""Of every page that hangs on an id: another's is as if it were not there. From the URL list."""

import re
import uuid
from pathlib import Path

import pytest
from run_rows import GRAPH, output_of, run_of

from accounts import invitations, signins, teams
from accounts.models import SignIn
from accounts.sessions import Session
from apikeys import allowances, asks, keys
from common.money import usd
from credits.models import RefundAsk, TopUp
from dashboard import shell
from dashboard.urls import urlpatterns
from runs import workflows
from runs.models import Address
from webhooks import events
from webhooks.models import Delivery

PAGES = Path(shell.__file__).with_name("templates")
HANGING = [str(each.pattern) for each in urlpatterns if "<uuid:" in str(each.pattern)]
FORM = {
    "role": "billing",
    "name": "Mine now",
    "scopes": ["proxy"],
    "which": "all",
    "answer": "allow",
}


@pytest.fixture
def anothers(alice, bob):
    """What is in a team, and of people, that the one who asks does not belong to."""
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    invited = invitations.invite(
        team.pk, email="ann@example.org", role="member", by=alice.user, base_url="http://x"
    )
    signins.begin(
        user=bob.user, workspace_id=team.pk, client_id="x", redirect_uri="http://127.0.0.1:8188/",
        challenge="x" * 43,
    )  # fmt: skip
    SignIn.objects.filter(user=bob.user).update(code_used_at="2026-01-01T00:00Z")
    workflow = workflows.make(team.pk, name="Theirs", graph=GRAPH, by=bob.user.pk)
    endpoint = events.for_runs(team.pk)
    sent = Delivery.objects.create(endpoint=endpoint, key="x", type="run.failed", body="{}")
    run = run_of(team.pk, bob.user.pk)
    bought = TopUp.objects.create(
        wallet_id=team.pk, amount_micros=usd("5"), source="checkout", state="expired"
    )
    wanted = RefundAsk.objects.create(
        top_up=bought, amount_micros=usd("5"), reason="x", requested_by=bob.user.pk, by_member=True
    )
    _, key = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="laptop")
    address = Address.objects.create(workspace_id=team.pk, user_id=bob.user.pk, key_id=key.pk)
    return {
        "run_id": run.pk,
        "output_id": output_of(run).pk,
        "workflow_id": workflow.pk,
        "endpoint_id": endpoint.pk,
        "delivery_id": sent.pk,
        "call_id": uuid.uuid4(),
        "top_up_id": bought.pk,
        "ask_id": wanted.pk,
        "key_id": key.pk,
        "address_id": address.pk,
        "user": bob.user.pk,
        "invitation": invited.pk,
        "ask": asks.ask(team.pk, period="day", limit=1, note="", by=bob.user.pk).pk,
        "sign_in_id": SignIn.objects.get(user=bob.user).pk,
    }


@pytest.mark.parametrize("route", HANGING)
def test_what_is_anothers_is_not_there(anothers, make_member, signed_in, route):
    browser = signed_in(make_member())
    path = "/" + re.sub(r"<uuid:(\w+)>", lambda name: str(anothers[name[1]]), route)

    answers = [browser.get(path), browser.post(path, FORM)]

    assert {answer.status_code for answer in answers} <= {404, 405}
    assert 404 in {answer.status_code for answer in answers}


OF_THE_OWNER = [
    "my/team/<uuid:user>/role", "my/team/<uuid:user>/transfer",
    "my/team/invitations/<uuid:invitation>/withdraw", "my/team/asks/<uuid:ask>/answer",
    "my/team/name", "my/team/vendors", "my/team/invite", "my/limits/workspace",
    "my/limits/each_member",
]  # fmt: skip


@pytest.mark.parametrize("route", OF_THE_OWNER)
def test_what_the_owner_decides_no_member_does(anothers, bob, signed_in, route):
    team = next(each.workspace_id for each in teams.of(bob.user.pk) if each.role == "member")
    browser = signed_in(bob, team)
    path = "/" + re.sub(r"<uuid:(\w+)>", lambda name: str(anothers[name[1]]), route)

    answer = browser.post(path, FORM | {"email": "mine@example.org", "day": "1"})

    assert answer.status_code == 403
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    ["/my/credits/automatic", "/my/credits/card", "/my/credits/portal", "/my/credits/warning"],
)
def test_how_a_workspace_pays_no_member_changes(studio, path):
    form = {"threshold": "5", "amount": "10", "monthly_cap": "50", "below": "1"}

    assert studio.member.post(path, form).status_code == 403
    assert studio.member.get("/my/credits/statement?from=2026-01-01").status_code == 403


def test_a_form_of_one_workspace_changes_no_other(studio, alice):
    """Its window was open when another window switched."""
    form = studio.owner.get("/my/limits/workspace").content.decode()
    seen = re.search(r'name="acting_for" value="([^"]+)"', form)[1]
    assert seen == str(studio.id)
    studio.owner.post("/my/workspace", {"workspace": alice.workspace_id})

    late = studio.owner.post("/my/limits/workspace", {"acting_for": seen, "day": "0"})

    assert late.status_code == 409
    assert "another workspace by now" in late.content.decode()
    assert allowances.own(alice.workspace_id, "workspace", "") == {}
    studio.owner.post("/my/workspace", {"workspace": studio.id})
    again = studio.owner.post("/my/limits/workspace", {"acting_for": seen, "day": "0"})
    assert again.status_code == 302


def test_every_form_of_a_workspace_says_which():
    """But for the one that switches, which stands around every page."""
    found = [each for each in PAGES.rglob("*.html") if "{% csrf_token %}" in each.read_text()]

    assert [each.name for each in found] == ["proof.html"]


def test_who_is_removed_while_a_page_is_made_has_a_page_without_a_workspace(studio, bob, rf):
    request = rf.get("/my/team")
    request.user, request.acting = bob.user, Session(bob.user, studio.id, "member")
    teams.remove(studio.id, bob.user.pk, by=bob.user.pk)

    assert not shell.everywhere(request)["shell"]
