"""Each address that changes something leaves an entry in the audit log, or says here why not.

Generated from the URL list: an address that is in neither table fails.
"""

from __future__ import annotations

import json

import pytest
from django.core.cache import cache
from django.test import Client
from test_access_rules import MEMBER, ROUTES, RULES

from accounts import invitations, teams
from accounts.models import Membership
from accounts.signup import verify_email
from apikeys import keys
from apikeys.models import SCOPES
from audit.models import Event
from outbox.models import Mail
from runs import address as run_address

UNSAFE = ("post", "put", "patch", "delete")
TEAM = "v1/workspaces/<uuid:id>"
WEBHOOK = "v1/webhooks/<uuid:endpoint_id>"
WORKFLOW = "v1/workflows/<uuid:workflow_id>"
RUNS = "api/v1/workflows/<uuid:workflow_id>/runs"

NOTED = {
    # address and method, and what is written of it; with what it was before, where it was something
    ("v1/keys", "post"): ("key.made", False),
    ("customers/api-keys", "post"): ("key.made", False),
    ("customers/api-keys/<uuid:key_id>", "delete"): ("key.revoked", False),
    ("v1/keys/revoke-all", "post"): ("key.revoked", False),
    ("v1/keys/<uuid:key_id>", "patch"): ("key.changed", True),
    ("v1/keys/<uuid:key_id>", "delete"): ("key.revoked", False),
    ("v1/keys/<uuid:key_id>/rotate", "post"): ("key.rotated", False),
    ("v1/keys/<uuid:key_id>/limits", "put"): ("key.limited", True),
    (f"{TEAM}/allowances", "put"): ("allowance.set", True),
    (f"{TEAM}/asks", "post"): ("ask.made", False),
    (f"{TEAM}/asks/<uuid:ask>/answer", "post"): ("ask.granted", True),
    ("v1/workspaces", "post"): ("team.made", False),
    (TEAM, "patch"): ("workspace.vendors_allowed", True),
    (f"{TEAM}/members/<uuid:user>", "patch"): ("member.role_changed", True),
    (f"{TEAM}/members/<uuid:user>", "delete"): ("member.removed", True),
    (f"{TEAM}/transfer", "post"): ("team.passed_on", True),
    (f"{TEAM}/invitations", "post"): ("member.invited", False),
    (f"{TEAM}/invitations/<uuid:invitation>", "delete"): ("invitation.withdrawn", False),
    ("v1/invitations/accept", "post"): ("member.joined", False),
    ("v1/privacy/deletion", "post"): ("deletion.asked", False),
    ("v1/privacy/deletion", "delete"): ("deletion.cancelled", False),
    ("v1/privacy/archives", "post"): ("export.asked", False),
    ("v1/webhooks", "post"): ("webhook.made", False),
    (WEBHOOK, "patch"): ("webhook.changed", True),
    (WEBHOOK, "delete"): ("webhook.removed", False),
    (f"{WEBHOOK}/rotate", "post"): ("webhook.rotated", False),
    (f"{WEBHOOK}/test", "post"): ("webhook.tried", False),
    ("v1/webhooks/deliveries/<uuid:delivery_id>/resend", "post"): ("webhook.resent", False),
    ("v1/run-preferences", "patch"): ("runs.preferences_changed", True),
    ("v1/run-addresses/<uuid:address_id>", "delete"): ("run-address.ended", False),
    ("v1/workflows", "post"): ("workflow.made", False),
    (WORKFLOW, "patch"): ("workflow.changed", True),
    (WORKFLOW, "delete"): ("workflow.removed", False),
    (f"{WORKFLOW}/versions", "post"): ("workflow.changed", False),
}
ELSEWHERE = {
    ("admin/workers", "post"): "worker.added: tests/runs/test_machines_by_program.py",
    ("admin/workers/<str:name>", "delete"): "worker.removed: the same",
    ("admin/workers/<str:name>/nodes", "put"): "worker.nodes_changed: the same",
    ("admin/workers/<str:name>/drain", "post"): "worker.drained: the same",
    ("admin/workers/<str:name>/back", "post"): "worker.taken_back: the same",
    ("admin/customers/<uuid:user_id>/stripe-data", "delete"):
        "stripe-data.deleted: tests/credits/payments/test_forgotten_customers.py",
    ("customers/<uuid:user_id>/usage", "post"): "usage.recorded: tests/apikeys/test_recorded.py",
    ("v1/runs/<path:run_id>", "patch"): "run.project_given: tests/usage/test_projects.py",
    ("v1/sign-ins", "delete"): "sign-in.ended: tests/accounts/test_oauth.py",
    ("v1/sign-ins/<uuid:sign_in_id>", "delete"): "sign-in.ended: tests/accounts/test_oauth.py",
    ("api/v2/jobs/<uuid:run_id>/cancel", "post"): "run.canceled: tests/runs/test_runs_story.py",
    (f"{RUNS}/<uuid:run_id>/cancel", "post"): "the same: tests/runs/test_face_icu.py",
    ("comfy/<path:rest>", "post"): "the same, by /interrupt: tests/runs/test_faces_native.py",
    ("run/<token>/<path:rest>", "post"): "the same",
    ("v1/pairings/<uuid:pairing_id>", "delete"): "key.revoked, if one was made: test_pairing.py",
    ("v1/workspaces/<uuid:workspace_id>/vendors/<vendor>/account", "put"):
        "vendor_account.added: tests/proxy/test_own_accounts.py",
    ("v1/workspaces/<uuid:workspace_id>/vendors/<vendor>/account", "delete"):
        "vendor_account.removed: tests/proxy/test_own_accounts.py",
}  # fmt: skip
WHY_NOT = {
    ("api/v2/jobs", "post"): "a run is a row of its own, and says who handed it over",
    (RUNS, "post"): "the same",
    ("api/v7/comfyui/execute", "post"): "the same",
    ("api/v7/comfyui/fetch/<uuid:run_id>", "post"): "it reads",
    ("api/v2/assets", "post"): "a file for a run is a row of its own",
    ("api/v2/assets/from-hash", "post"): "the same",
    ("api/v2/assets/<uuid:asset_id>", "delete"): "the same; its time is over in days anyway",
    (f"{TEAM}/switch", "post"): "it is where one's own browser looks, and nobody's right",
    ("v1/pairings", "post"): "a machine waits, and may do nothing",
    ("v1/pairings/<uuid:pairing_id>/taken", "post"): "the approval is noted; the box is wiped",
    ("admin/verify-api-key", "post"): "it reads",
    ("customers", "post"): "who has a key is a customer: it reads",
    ("v1/quote", "post"): "it reads",
    ("customers/storage", "post"): "a file for a call; the call is in the history",
    ("customers/credit", "post"): "a purchase is a row of its own, and an entry once it is paid",
    ("customers/billing", "post"): "it leads to the processor's page",
    ("v1/vouchers/redeem", "post"): "an entry of the books",
    ("v1/wallet", "patch"): "when one is warned of a low balance",
    ("v1/auto-top-up", "put"): "the setting says who set it, and each purchase is a row",
    ("v1/auto-top-up/setup", "post"): "it leads to the processor's page",
}
PAGES = {
    "account/pair/": "typing a code approves nothing",
    "account/pair/<uuid:pairing_id>/": ("pairing.approved", "pairing.refused", "allowance.set"),
    "account/sessions/<int:session>/end": ("session.ended",),
    "account/": "it shows",
    "account/credits/": "a purchase is a row of its own",
}
"""Our own pages of who is signed in; allauth's are told by its signals (accounts/happenings.py)."""


def changing():
    """Each address and method that may change something, of what is asked by program."""
    for route, callback in ROUTES.items():
        view = getattr(callback, "cls", None)
        for method in UNSAFE:
            if view is not None and hasattr(view, method):
                yield route, method


def test_every_address_that_changes_something_is_in_one_table():
    listed = [*NOTED, *ELSEWHERE, *WHY_NOT]

    assert sorted(listed) == sorted(changing())
    assert len(listed) == len(set(listed))


def test_every_page_of_ours_for_who_is_signed_in_is_in_the_table():
    ours = {
        route
        for route in RULES[MEMBER]
        if route.startswith("account/")
        and ROUTES[route].__module__.split(".")[0] in ("accounts", "apikeys")
    }

    assert ours == set(PAGES)


class Studio:
    """Ines owns a team, Bob is in it, and Ann has an invitation."""

    def __init__(self, owner, member, invited):
        self.owner, self.member, self.invited = owner, member, invited
        verify_email(invited.user)
        self.team = teams.create(owner=owner.user, name="Studio")
        teams.join(self.team, member.user, role=Membership.Role.MEMBER, by=owner.user.pk)
        self.key = keys.issue(
            workspace_id=self.team.pk, user_id=owner.user.pk, name="x", scopes=list(SCOPES)
        )[1]
        self.browsers = {each.user.pk: Client() for each in (owner, member, invited)}
        for each in (owner, member, invited):
            self.browsers[each.user.pk].force_login(each.user)
        for each in (owner, member):
            self.ask("POST", f"v1/workspaces/{self.team.pk}/switch", who=each)

    def ask(self, method, path, *, who=None, **body):
        browser = self.browsers[(who or self.owner).user.pk]
        return browser.generic(method, f"/{path}", json.dumps(body), "application/json")

    def names(self):
        return {
            "team": self.team.pk, "key": self.key.pk,
            "user": self.owner.user.pk, "other": self.member.user.pk,
        }  # fmt: skip

    def invite(self):
        return invitations.invite(
            self.team.pk, email=self.invited.user.email, role="member", by=self.owner.user,
            base_url="http://x",
        )  # fmt: skip


@pytest.fixture
def studio(alice, bob, make_member):
    cache.clear()
    return Studio(alice, bob, make_member())


def act(path, method="POST", who="owner", **body):
    """Return what asks that address; the path and texts of the body may name parts of a studio."""

    def do(studio):
        names = studio.names()
        told = {name: each.format(**names) if isinstance(each, str) else each
                for name, each in body.items()}  # fmt: skip
        return studio.ask(method, path.format(**names), who=getattr(studio, who), **told)

    return do


def answering(studio):
    here = f"v1/workspaces/{studio.team.pk}/asks"
    asked = studio.ask("POST", here, who=studio.member, period="day", limit_micro_usd=9)
    return studio.ask("POST", f"{here}/{asked.json()['id']}/answer", granted=True)


def withdrawing(studio):
    return studio.ask("DELETE", f"v1/workspaces/{studio.team.pk}/invitations/{studio.invite().pk}")


def accepting(studio):
    made = studio.invite()
    letter = Mail.objects.get(key=f"invitation:{made.pk}").text
    token = letter.partition("/invitations/")[2].split()[0]
    return studio.ask("POST", "v1/invitations/accept", who=studio.invited, token=token)


def staying(studio):
    studio.ask("POST", "v1/privacy/deletion")
    return studio.ask("DELETE", "v1/privacy/deletion")


def with_webhook(path="", method="POST", **body):
    """Return what makes a webhook, and then asks that of it."""

    def do(studio):
        url = {"url": "https://8.8.8.8/", "events": ["run.failed"]}
        made = studio.ask("POST", "v1/webhooks", **url).json()
        return studio.ask(method, f"v1/webhooks/{made['id']}{path}", **body)

    return do


def resending(studio):
    tried = with_webhook("/test")(studio).json()
    return studio.ask("POST", f"v1/webhooks/deliveries/{tried['id']}/resend")


def ending_an_address(studio):
    made = run_address.make(studio.key)
    return studio.ask("DELETE", f"v1/run-addresses/{made.pk}")


def with_workflow(path="", method="POST", **body):
    """Return what makes a workflow, and then asks that of it."""

    def do(studio):
        made = studio.ask("POST", "v1/workflows", name="Poster", prompt=GRAPH).json()
        return studio.ask(method, f"v1/workflows/{made['id']}{path}", **body)

    return do


GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
HERE = "v1/workspaces/{team}"
DOING = {
    ("v1/keys", "post"): act("v1/keys", name="laptop"),
    ("customers/api-keys", "post"): act("customers/api-keys", name="laptop"),
    ("customers/api-keys/<uuid:key_id>", "delete"): act("customers/api-keys/{key}", "DELETE"),
    ("v1/keys/revoke-all", "post"): act("v1/keys/revoke-all", user_id="{user}"),
    ("v1/keys/<uuid:key_id>", "patch"): act("v1/keys/{key}", "PATCH", call_limit_micro_usd=5),
    ("v1/keys/<uuid:key_id>", "delete"): act("v1/keys/{key}", "DELETE"),
    ("v1/keys/<uuid:key_id>/rotate", "post"): act("v1/keys/{key}/rotate"),
    ("v1/keys/<uuid:key_id>/limits", "put"): act("v1/keys/{key}/limits", "PUT", project="film"),
    (f"{TEAM}/allowances", "put"): act(
        HERE + "/allowances", "PUT", kind="workspace", period="day", limit_micro_usd=7
    ),
    (f"{TEAM}/asks", "post"): act(HERE + "/asks", who="member", period="day", limit_micro_usd=9),
    (f"{TEAM}/asks/<uuid:ask>/answer", "post"): answering,
    ("v1/workspaces", "post"): act("v1/workspaces", name="Second"),
    (TEAM, "patch"): act(HERE, "PATCH", allowed_vendors=["bfl"]),
    (f"{TEAM}/members/<uuid:user>", "patch"): act(
        HERE + "/members/{other}", "PATCH", role="billing"
    ),
    (f"{TEAM}/members/<uuid:user>", "delete"): act(HERE + "/members/{other}", "DELETE"),
    (f"{TEAM}/transfer", "post"): act(HERE + "/transfer", to="{other}"),
    (f"{TEAM}/invitations", "post"): act(
        HERE + "/invitations", email="eve@example.org", role="member"
    ),
    (f"{TEAM}/invitations/<uuid:invitation>", "delete"): withdrawing,
    ("v1/invitations/accept", "post"): accepting,
    ("v1/privacy/deletion", "post"): act("v1/privacy/deletion", who="member"),
    ("v1/privacy/deletion", "delete"): staying,
    ("v1/privacy/archives", "post"): act("v1/privacy/archives"),
    ("v1/webhooks", "post"): act("v1/webhooks", url="https://8.8.8.8/", events=["run.failed"]),
    ("v1/workflows", "post"): act("v1/workflows", name="Poster", prompt=GRAPH),
    ("v1/run-addresses/<uuid:address_id>", "delete"): ending_an_address,
    ("v1/run-preferences", "patch"): act("v1/run-preferences", "PATCH", keep_days=3),
    (WORKFLOW, "patch"): with_workflow(method="PATCH", name="Poster of films"),
    (WORKFLOW, "delete"): with_workflow(method="DELETE"),
    (f"{WORKFLOW}/versions", "post"): with_workflow("/versions", prompt=GRAPH),
    (WEBHOOK, "patch"): with_webhook(method="PATCH", enabled=False),
    (WEBHOOK, "delete"): with_webhook(method="DELETE"),
    (f"{WEBHOOK}/rotate", "post"): with_webhook("/rotate"),
    (f"{WEBHOOK}/test", "post"): with_webhook("/test"),
    ("v1/webhooks/deliveries/<uuid:delivery_id>/resend", "post"): resending,
}


@pytest.mark.parametrize(("route", "method"), NOTED)
def test_what_was_done_is_written_with_who_and_from_where(studio, route, method):
    last = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0

    answer = DOING[route, method](studio)

    assert answer.status_code in (200, 201, 202, 204), answer.content
    action, has_before = NOTED[route, method]
    event = Event.objects.filter(id__gt=last, action=action).first()
    assert event, list(Event.objects.filter(id__gt=last).values_list("action", flat=True))
    people = {each.user.pk for each in (studio.owner, studio.member, studio.invited)}
    assert event.actor_id in people
    assert (event.source, event.address) == ("web", "127.0.0.1")
    assert bool(event.before) >= has_before, "what it was before"
    assert not has_before or event.after or method == "delete"


@pytest.mark.parametrize(
    ("body", "action"), [({"name": "other"}, "key.renamed"), ({"disabled": True}, "key.disabled")]
)
def test_each_part_of_a_key_that_changes_is_written(studio, body, action):
    answer = studio.ask("PATCH", f"v1/keys/{studio.key.pk}", **body)

    assert answer.status_code == 200, answer.content
    assert Event.objects.filter(action=action, target=str(studio.key.pk)).count() == 1
    here = Event.objects.filter(workspace_id=studio.team.pk)
    assert "other" not in str(list(here.values_list("before", "after")))


def test_a_name_and_an_answer_of_no_are_written_too(studio):
    here = f"v1/workspaces/{studio.team.pk}"
    studio.ask("PATCH", here, name="Yard")
    asked = studio.ask("POST", f"{here}/asks", who=studio.member, period="day", limit_micro_usd=9)
    studio.ask("POST", f"{here}/asks/{asked.json()['id']}/answer", granted=False)

    written = Event.objects.filter(workspace_id=studio.team.pk).values_list("action", flat=True)
    assert {"workspace.renamed", "ask.declined"} <= set(written)
    assert "allowance.set" not in written


def test_who_is_refused_leaves_nothing(studio):
    """What did not happen was not done."""
    before = Event.objects.count()
    here = f"v1/workspaces/{studio.team.pk}"

    refused = studio.ask("PATCH", here, who=studio.member, name="Mine")

    assert refused.status_code == 403
    assert Event.objects.count() == before
    assert Client().get(f"/{here}").status_code == 401
