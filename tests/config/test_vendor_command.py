"""`manage.py vendor`: each change is somebody's, takes effect, and no secret is ever shown."""

import io
import json
import uuid

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.signup import sign_up
from audit.models import Event
from common import sealing
from desk import roles
from proxy import vault, vendor_accounts
from proxy.models import VendorAccount, VendorHealth, VendorRevision, VendorSwitch

SECRET = "sk-very-secret-4711"


@pytest.fixture
def grace(db, settings):
    settings.VENDOR_SETTINGS = {"VENDOR_BFL_KEY": "from-the-environment"}
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, ["operations"], by=None)
    return user


@pytest.fixture
def do(grace, monkeypatch):
    """Run an action of grace's; return what it printed."""

    def run(*words, given="", plain=False):
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        reads = words[-1] == "list" or words[:2] == ("account", "list") or words[0] == "health"
        who = () if reads else ("--by", grace.email, "--reason", "because")
        out = io.StringIO()
        call_command("vendor", *words, *who, *(() if plain else ("--json",)), stdout=out)
        return out.getvalue() if plain else json.loads(out.getvalue())

    return run


def accounts(do):
    return {each["name"]: each for each in do("account", "list", "bfl")}


def test_an_account_has_its_whole_life_by_command(do, grace):
    do("account", "add", "bfl", "second", given=f"KEY={SECRET}\n")
    do("account", "weight", "bfl", "second", "300")
    do("account", "disable", "bfl", "default")
    found = accounts(do)

    assert (found["second"]["weight"], found["second"]["settings"]) == (300, ["KEY"])
    assert (found["default"]["is_on"], found["default"]["off_reason"]) == (False, "because")
    assert "from-the-environment" not in f"{found}"
    assert SECRET not in f"{found}" + do("account", "list", plain=True)

    do("account", "enable", "bfl", "default")
    do("account", "remove", "bfl", "second")

    assert {name: each["is_on"] for name, each in accounts(do).items()} == {"default": True}
    written = Event.objects.filter(action__startswith="vendor_account.", actor_id=grace.pk)
    assert [event.action.partition(".")[2] for event in written.order_by("id")] == [
        "added", "weighed", "disabled", "enabled", "removed",
    ]  # fmt: skip
    assert {event.source for event in written} == {"command"}
    assert SECRET not in f"{[vars(event) for event in written]}"


def test_json_is_read_too_and_a_second_time_it_has_another_key(do):
    assert "added" in do("account", "add", "bfl", "b", given=json.dumps({"KEY": SECRET}))["done"]
    before = VendorAccount.objects.get(name="b").sealed
    assert "new settings" in do("account", "add", "bfl", "b", given="KEY=other-4712")["done"]

    assert VendorAccount.objects.get(name="b").sealed != before
    assert VendorRevision.objects.get().number >= 2


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("account", "add", "nobody", "b"), "KEY=x", "no vendor nobody"),
        (("account", "add", "bfl", "default"), "KEY=abcdefgh", "is the environment's"),
        (("account", "add", "bfl", "own"), "KEY=abcdefgh", "own a workspace's"),
        (("account", "add", "bfl", "b"), "", "lines like KEY"),
        (("account", "add", "bfl", "b"), "{", "no JSON"),
        (("account", "add", "bfl", "b"), '{"KEY": 7}', "is a text"),
        (("account", "add", "bfl", "b"), "SECRET=abcdefgh", "has no SECRET, but KEY"),
        (("account", "weight", "bfl", "default", "0"), "", "from 1 to 1000"),
        (("account", "remove", "bfl", "b"), "", "has no account b"),
        (("account", "remove", "bfl", "default"), "", "no account default"),
        (("off", "bfl", "--operation", "bfl/none"), "", "has no operation bfl/none"),
    ],
)
def test_a_mistake_is_one_sentence(do, words, given, sentence):
    with pytest.raises(CommandError, match=sentence):
        do(*words, given=given)

    assert not VendorAccount.objects.exists()


def test_a_vendor_is_off_with_a_sentence_until_it_is_on(do):
    VendorHealth.objects.all().delete()  # Whatever other tests counted.
    do("off", "bfl")
    assert VendorSwitch.objects.get().sentence == "because"

    assert do("on", "bfl")["done"] == "is on"
    assert do("on", "bfl")["done"] == "was not off"
    told = {(row["vendor"], row["account"]) for row in do("health")}
    assert ("bfl", "second") not in told


def test_secrets_are_sealed_anew_by_the_newest_pepper(do, settings):
    """Then the older one may go; before, nothing could be opened without it."""
    do("account", "add", "bfl", "second", given=f"KEY={SECRET}")
    old = settings.KEY_PEPPERS
    settings.KEY_PEPPERS = {**old, max(old) + 1: b"n" * 32}

    assert (vendor_accounts.reseal(), vendor_accounts.reseal()) == (1, 0)

    settings.KEY_PEPPERS = {max(old) + 1: b"n" * 32}
    sealed = VendorAccount.objects.get().sealed
    assert json.loads(sealing.unseal(sealed, purpose=vault.PURPOSE)) == {"KEY": SECRET}
    settings.KEY_PEPPERS = {max(old) + 2: b"m" * 32}
    assert accounts(do)["second"]["settings"] == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("vendor_account_own_is_a_workspaces", {"name": "own"}),
        ("vendor_account_own_is_a_workspaces", {"workspace_id": uuid.UUID(int=1)}),
        ("vendor_account_has_settings_unless_removed", {"sealed": ""}),
        ("vendor_account_has_settings_unless_removed", {"name": "default"}),
        ("vendor_account_weight", {"weight": 0}),
    ],
)
def test_the_database_says_no_first(do, rule, change):
    do("account", "add", "bfl", "second", given=f"KEY={SECRET}")

    with pytest.raises(IntegrityError, match=rule), transaction.atomic():
        VendorAccount.objects.update(**change)


def test_an_account_is_there_once(do):
    do("account", "add", "bfl", "second", given=f"KEY={SECRET}")
    row = VendorAccount.objects.get()
    row.pk = None

    with pytest.raises(IntegrityError, match="vendor_account_once"), transaction.atomic():
        row.save()
