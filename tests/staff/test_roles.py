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


def test_roles_are_given_by_command_noted_and_given_twice_the_same(sam, fay):
    call_command("member", "role", sam.user.email, "support", "operations", "--by", fay.user.email)
    call_command("member", "role", sam.user.email, "operations", "support", "--by", fay.user.email)

    assert roles.of(User.objects.get(pk=sam.user.pk)) == ["operations", "support"]
    noted = Event.objects.filter(action="member.roles_set", subject_id=sam.user.pk)
    assert [each.after for each in noted.order_by("id")][1:] == [
        {"roles": ["operations", "support"]}
    ]
    with pytest.raises(CommandError, match="no role"):
        call_command("member", "role", sam.user.email, "emperor", "--by", fay.user.email)


def test_who_is_of_no_staff_has_no_role(alice, fay):
    with pytest.raises(CommandError, match="not of our staff"):
        call_command("member", "role", alice.user.email, "support", "--by", fay.user.email)
