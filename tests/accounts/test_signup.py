import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Membership, User, Workspace
from accounts.signup import sign_up
from common.errors import InvalidRequest
from credits.models import Account


@pytest.mark.django_db
def test_a_new_user_owns_a_personal_workspace_with_an_empty_wallet():
    user = sign_up(email="Carol@Example.org ", password="a long one, for Carol")

    workspace = user.personal_workspace
    assert (user.email, user.name) == ("carol@example.org", "carol")
    assert user.check_password("a long one, for Carol")
    assert Membership.objects.get(workspace=workspace).role == "owner"
    assert (workspace.wallet.kind, workspace.wallet.balance_micros) == ("wallet", 0)
    assert workspace.pk == workspace.wallet.pk


@pytest.mark.django_db
def test_without_a_password_nobody_signs_in_with_one():
    assert not sign_up(email="carol@example.org").has_usable_password()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "email", ["", "carol", "carol@", "carol @example.org", "a@b\x00.org", "a@\u05ff.org"]
)
def test_what_is_no_address_is_refused(email):
    with pytest.raises(InvalidRequest, match="is not an e-mail address"):
        sign_up(email=email)


@pytest.mark.django_db
def test_an_address_has_one_account_in_whatever_case_and_a_refusal_leaves_nothing():
    sign_up(email="carol@example.org")
    before = (User.objects.count(), Workspace.objects.count(), Account.objects.count())

    with pytest.raises(InvalidRequest, match="has an account already"):
        sign_up(email="CAROL@example.org")
    assert (User.objects.count(), Workspace.objects.count(), Account.objects.count()) == before


def test_two_who_sign_up_with_one_address_at_once_are_one(committed, at_once):
    email = f"{uuid.uuid4().hex}@example.org"

    def won(_):
        try:
            sign_up(email=email)
        except InvalidRequest:
            return False
        return True

    assert sum(at_once(won, range(6))) == 1


@pytest.mark.django_db
def test_a_user_is_found_in_whatever_case_the_address_is_typed():
    carol = sign_up(email="carol@example.org")

    assert User.objects.get_by_natural_key("Carol@Example.ORG") == carol


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        ("user_email_in_lower_case", "UPDATE accounts_user SET email = 'A@b.org' WHERE id = %(u)s"),
        (
            "user_status_changed_by_somebody_with_a_reason",
            "UPDATE accounts_user SET status_changed_at = now(), status_reason = 'x'"
            " WHERE id = %(u)s",
        ),
        (
            "workspace_personal_has_its_person",
            "UPDATE accounts_workspace SET personal_of_id = NULL WHERE id = %(w)s",
        ),
        (
            "workspace_personal_has_its_person",
            "UPDATE accounts_workspace SET kind = 'team' WHERE id = %(w)s",
        ),
        (
            "workspace_personal_has_its_person",
            "UPDATE accounts_workspace SET kind = 'guild' WHERE id = %(w)s",
        ),
        (
            "membership_once_per_workspace",
            "INSERT INTO accounts_membership (workspace_id, user_id, role)"
            " VALUES (%(w)s, %(u)s, 'member')",
        ),
        (
            "membership_role_known",
            "UPDATE accounts_membership SET role = 'king' WHERE workspace_id = %(w)s",
        ),
    ],
)
def test_by_hand_the_database_refuses(alice, name, sql):
    with (
        pytest.raises(IntegrityError, match=name),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, {"u": alice.user.pk, "w": alice.workspace_id})
