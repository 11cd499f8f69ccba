"""Who of staff may do what: every page and every act, tried with every role."""

import re
import uuid

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import CommandError

import staff.urls
from accounts.models import User
from audit.models import Event
from desk import roles
from desk.roles import ROLES, Right
from staff import pages

ROUTES = {str(each.pattern): each.callback for each in staff.urls.urlpatterns if str(each.pattern)}
ACTS = {route for route, view in ROUTES.items() if view.__name__ in pages.ACTS}
"""What changes something, by one function of its own."""


@pytest.fixture
def grace(of_staff):
    """Grace has every role."""
    return of_staff(*ROLES)


def path_of(route):
    known = {"uuid": str(uuid.UUID(int=1)), "int": "1", "slug": "bfl", "path": "nothing"}
    known["str"] = "no-machine"
    return re.sub(r"<(\w+):\w+>", lambda found: known[found[1]], route)


def test_every_page_names_a_right_and_every_act_one_that_is_more_than_reading():
    assert len(ACTS) > 30
    for route, view in ROUTES.items():
        assert isinstance(view.right, Right), route
    for route in ACTS:
        assert ROUTES[route].right not in (Right.READ, Right.RECORDS), route


def test_a_migration_made_the_roles(db):
    assert set(Group.objects.values_list("name", flat=True)) >= set(ROLES)


@pytest.mark.parametrize("name", sorted(ROLES))
def test_each_role_is_let_to_what_it_may_and_to_nothing_else(of_staff, name):
    """Of what there is nothing a 404 tells; of what one may not, a 403."""
    member = of_staff(name)

    for route, view in sorted(ROUTES.items()):
        may = view.right in ROLES[name]
        for method in ("get", "post"):
            answer = getattr(member, method)(path_of(route))
            if answer.status_code == 405:  # It only reads.
                continue
            assert (answer.status_code == 403) != may, (route, method, answer.status_code)
            assert answer.status_code < 500, (route, method)
            if not may:
                assert b"Your roles" in answer.content


def test_the_auditor_changes_nothing(axel):
    assert ROLES["auditor"] == {Right.READ, Right.RECORDS}
    before = Event.objects.order_by("-id").values_list("pk", flat=True).first()

    for route in sorted(ACTS):
        assert axel.post(path_of(route)).status_code == 403

    assert Event.objects.order_by("-id").values_list("pk", flat=True).first() == before


@pytest.mark.parametrize("change", [{"is_staff": False}, {"is_active": False}])
def test_a_role_is_nothing_to_who_is_not_of_staff_any_more(sam, change):
    assert sam.get("").status_code == 200

    User.objects.filter(pk=sam.user.pk).update(**change)

    assert sam.get("").status_code == 302
    assert roles.rights(User.objects.get(pk=sam.user.pk)) == frozenset()


def test_roles_are_given_by_command_noted_and_given_twice_the_same(sam, grace):
    by = ("--by", grace.user.email)
    call_command("member", "role", sam.user.email, "support", "operations", *by)
    call_command("member", "role", sam.user.email, "operations", "support", *by)

    assert roles.of(User.objects.get(pk=sam.user.pk)) == ["operations", "support"]
    noted = Event.objects.filter(action="member.roles_set", subject_id=sam.user.pk)
    assert [each.after for each in noted.order_by("id")][1:] == [
        {"roles": ["operations", "support"]}
    ]
    with pytest.raises(CommandError, match="no role"):
        call_command("member", "role", sam.user.email, "emperor", *by)


def test_who_is_of_no_staff_has_no_role(alice, grace):
    with pytest.raises(CommandError, match="not of our staff"):
        call_command("member", "role", alice.user.email, "support", "--by", grace.user.email)


def test_nobody_gives_a_role_that_can_do_more_than_they(sam, fay):
    with pytest.raises(CommandError, match=r"This is for .*operations.*: finance"):
        call_command("member", "role", sam.user.email, "operations", "--by", fay.user.email)

    assert roles.of(User.objects.get(pk=sam.user.pk)) == ["support"]


COMMANDS = (
    ("money give {alice} 1", "support or finance", "auditor"),
    ("money take {alice} 1", "support or finance", "operations"),
    ("money voucher make x 5", "finance", "support"),
    ("money approve {nobody}", "finance", "support"),
    ("money freeze {alice}", "support or operations", "finance"),
    ("member deactivate {alice}", "support or operations", "finance"),
    ("member limit {alice} 3", "support or operations", "finance"),
    ("member add x@example.org --credits 5", "support or finance", "operations"),
    ("keys revoke --member {alice}", "support or operations", "auditor"),
    ("vendor off bfl", "operations", "finance"),
    ("worker drain x", "operations", "support"),
    ("origins allow https://x.example", "support or operations", "finance"),
    ("maintenance begin", "operations", "support"),
    ("prices draft --markup *=1", "finance or operations", "support"),
    ("privacy cancel {nobody}", "support or operations", "finance"),
)
"""What a command does, for whom its pages are, and somebody else."""


@pytest.mark.parametrize(("words", "having", "role"), COMMANDS)
def test_a_command_is_for_whom_its_page_is_for(of_staff, alice, words, having, role):
    by = of_staff(role).user.email
    said = words.format(alice=alice.user.email, nobody=uuid.uuid4()).split()
    before = Event.objects.order_by("-id").values_list("pk", flat=True).first()
    reason = [] if said[:2] == ["money", "approve"] else ["--reason", "x"]

    with pytest.raises(CommandError, match=f"This is for {having}. Roles of {by}: {role}."):
        call_command(*said, "--by", by, *reason)

    assert Event.objects.order_by("-id").values_list("pk", flat=True).first() == before
