"""Whatever is mistyped on a command line ends in one sentence and status 1."""

import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError
from django.db import OperationalError, connections
from django.utils import timezone

from accounts.models import User
from accounts.signup import sign_up
from apikeys import keys, states
from apikeys.models import ApiKey
from common.money import usd
from credits.gifts import adjustments, vouchers
from credits.models import Adjustment, TopUp, Voucher
from desk import roles

ROOT = Path(__file__).resolve().parents[2]
NOBODY = str(uuid.UUID(int=7))
LONG = "x" * 301
TOMORROW = f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"
STAFF = ("--by", "grace@example.org")
WHY = (*STAFF, "--reason", "asked for it")
GIVE = ("money", "give", "{alice}", "5")
VOUCHER = ("money", "voucher", "make", "spring", "5", *WHY)
ADD = ("member", "add", "c@example.org")

MISTAKES = {
    "a purchase that is none": (("money", "refund", "first", *WHY), "'first' is not an id"),
    "no such purchase": (("money", "refund", NOBODY, *WHY), "no such purchase"),
    "a purchase that was not paid": (("money", "refund", "{open}", *WHY), "nothing to give back"),
    "a refund of nothing": (("money", "refund", NOBODY, *WHY, "--amount", "0"), "dollars"),
    "a refund for no reason": (
        ("money", "refund", "{bought}", *STAFF, "--reason", " "), "needs a reason",
    ),
    "a refund for a long reason": (
        ("money", "refund", "{bought}", *STAFF, "--reason", LONG), "at most 300 characters",
    ),
    "nobody's purchases": (("money", "purchases", "nobody@example.org"), "There is no nobody@"),
    "somebody without a workspace": (("money", "purchases", "root@example.org"), "no workspace"),
    "not of our staff": (
        (*GIVE, "--reason", "x", "--by", "{alice}"), "is not of our staff",
    ),
    "a gift for no reason": ((*GIVE, *STAFF, "--reason", ""), "a reason"),
    "a gift for a long reason": ((*GIVE, *STAFF, "--reason", LONG), "at most 300 characters"),
    "a gift of words": (("money", "give", "{alice}", "five", *WHY), "dollars"),
    "a gift that is none": (("money", "give", "{alice}", "NaN", *WHY), "dollars"),
    "a gift of everything": (("money", "give", "{alice}", "1e999999", *WHY), "dollars"),
    "a gift too large": (("money", "give", "{alice}", "1000001", *WHY), "dollars"),
    "a gift of parts of micros": (("money", "give", "{alice}", "0.0000001", *WHY), "dollars"),
    "a gift for no days": ((*GIVE, *WHY, "--days", "0"), "days"),
    "a gift for days gone": ((*GIVE, *WHY, "--days", "-1"), "days"),
    "a gift beyond all calendars": ((*GIVE, *WHY, "--days", "99999999999"), "days"),
    "more taken than is there": (("money", "take", "{alice}", "50", *WHY), "available"),
    "an adjustment that is none": (("money", "approve", "it", *STAFF), "not an id"),
    "no such adjustment": (("money", "approve", NOBODY, *STAFF), "no such adjustment"),
    "nothing to refuse": (("money", "refuse", NOBODY, *WHY), "no such adjustment"),
    "what one asked for oneself": (("money", "approve", "{waiting}", *STAFF), "second person"),
    "a voucher of one's own": (("money", "approve", "{voucher}", *STAFF), "second person"),
    "a voucher without uses": ((*VOUCHER, "--uses", "0"), "uses"),
    "a voucher for mankind": ((*VOUCHER, "--uses", "9999999999"), "uses"),
    "a voucher until some day": ((*VOUCHER, "--until", "soon"), "not a day"),
    "a voucher until yesterday": ((*VOUCHER, "--until", "2020-01-01"), "is over"),
    "a voucher whose credits never were": ((*VOUCHER, "--days", "-5"), "days"),
    "a voucher with a long name": (("money", "voucher", "make", LONG, "5", *WHY), "100 characters"),
    "a pause for a long reason": (
        ("money", "freeze", "{alice}", *STAFF, "--reason", LONG), "at most 300 characters",
    ),
    "a pause for no reason": (("money", "freeze", "{alice}", *STAFF, "--reason", " "), "a reason"),
    "a finding that is none": (("money", "findings", "--resolve", "x", *WHY), "no open finding"),
    "a finding resolved by nobody": (("money", "findings", "--resolve", "x"), "needs --by"),
    "a pause by nobody": (("money", "freeze", "{alice}", "--reason", "x"), "--by"),
    "a release by nobody": (("money", "release", "{alice}", "--reason", "x"), "--by"),
    "a release for no reason": (("money", "release", "{alice}", *STAFF, "--reason", ""), "reason"),
    "a voucher for no reason": ((*VOUCHER[:-1], " "), "a reason"),
    "a voucher by nobody": (("money", "voucher", "make", "x", "5", "--reason", "x"), "--by"),
    "a voucher that is none": (("money", "voucher", "stop", "winter", *WHY), "no voucher winter"),
    "no such voucher": (("money", "voucher", "stop", NOBODY, *WHY), "no such voucher"),
    "what to do with vouchers": (("money", "voucher"), "what"),
    "credits from nobody": ((*ADD, "--credits", "5"), "needs --by and --reason"),
    "credits for no reason": ((*ADD, "--credits", "5", *STAFF), "needs --by and --reason"),
    "credits from a member": (
        (*ADD, "--credits", "5", "--by", "{alice}", "--reason", "x"), "not of our staff",
    ),
    "staff appointed by nobody": ((*ADD, "--staff"), "needs --by"),
    "staff appointed by a member": ((*ADD, "--staff", "--by", "{alice}"), "not of our staff"),
    "nobody to show": (("member", "show", "nobody@example.org"), "There is no nobody@"),
    "nobody to deactivate": (("member", "deactivate", "nobody@example.org", *WHY), "There is no"),
    "a deactivation by nobody": (("member", "deactivate", "{alice}", "--reason", "x"), "--by"),
    "a deactivation for no reason": (
        ("member", "deactivate", "{alice}", *STAFF, "--reason", " "), "a reason",
    ),
    "keys of nobody": (("keys", "list", "nobody@example.org"), "There is no nobody@"),
    "no key": (("keys", "revoke", *WHY), "Name one key"),
    "a key and a member": (("keys", "revoke", "x", "--member", "{alice}", *WHY), "Name one key"),
    "a key that is none": (("keys", "disable", "laptop", *WHY), "named by its id"),
    "no such key": (("keys", "disable", NOBODY, *WHY), "no such key"),
    "a whole key for all to see": (("keys", "revoke", "{key}", *WHY), "give - and paste it"),
    "a key revoked by nobody": (("keys", "revoke", "{prefix}", "--reason", "x"), "--by"),
    "a key revoked for no reason": (("keys", "revoke", "{prefix}", *STAFF), "--reason"),
    "a revoked key to enable": (("keys", "enable", "{revoked}", *WHY), "for good"),
    "no payment provider": (("money", "compare"), "no payment provider"),
    "no payment provider to list": (("money", "catch-up"), "no payment provider"),
    "no such action": (("money", "print"), "print"),
    "no action": (("money",), "action"),
    "a member without an address": (("member", "add", "carol"), "not an e-mail address"),
    "a member with a long address": (
        ("member", "add", "c" * 60 + "@" + "x." * 100 + "example.org"), "not an e-mail address",
    ),
    "a key with a long name": (
        ("member", "add", "c@example.org", "--key", "x" * 101), "100 characters",
    ),
    "no such scope": (("member", "add", "c@example.org", "--scope", "all"), "'all'"),
    "credits of words": (("member", "add", "c@example.org", "--credits", "five"), "dollars"),
    "credits below nothing": (("member", "add", "c@example.org", "--credits=-1"), "dollars"),
    "a workspace that is none": (("statement", "make", "it", "--from", TOMORROW), "not an id"),
    "no such workspace": (("statement", "make", NOBODY, "--from", "2026-01-01"), "no such work"),
    "a statement of no day": (("statement", "make", NOBODY, "--from", "soon"), "not a day"),
    "a statement of the future": (("statement", "make", NOBODY, "--from", TOMORROW), "period"),
    "a statement to nowhere": (
        ("statement", "make", "{workspace}", "--from", "2026-01-01", "--out", "/nowhere/at/all"),
        "No such file",
    ),
    "a file that is none": (("statement", "verify", "/nowhere/at/all"), "No such file"),
    "a folder": (("statement", "verify", "/"), "Is a directory"),
    "a balance of no day": (("trial_balance", "--from", "2026-02-30"), "not a day"),
    "a balance of the future": (("trial_balance", "--from", "9999-12-31"), "The period"),
    "a balance for ever": (
        ("trial_balance", "--from", "0001-01-01", "--to", "9999-12-31"), "The period",
    ),
    "an unknown flag": (("reconcile", "--shallow"), "--shallow"),
}  # fmt: skip


@pytest.fixture
def cast(alice, settings, request):
    """Alice, Grace of staff, and somebody who only has a password."""
    grace = sign_up(email="grace@example.org")
    User.objects.filter(pk=grace.pk).update(is_staff=True)
    roles.assign(grace, roles.ROLES, by=None)
    User.objects.create(email="root@example.org")
    made = {"alice": alice.user.email, "workspace": str(alice.workspace_id), "key": alice.key}
    made["prefix"] = alice.api_key_record.prefix
    large = {"amount": usd("500"), "reason": "x"}
    asked = adjustments.request(alice.workspace_id, requested_by=grace.pk, **large)
    made["waiting"] = str(asked.pk)
    made["voucher"] = str(vouchers.make(name="large", made_by=grace.pk, **large)[1].pk)
    _, gone = keys.issue(workspace_id=alice.workspace_id, user_id=alice.user.pk, name="gone")
    states.revoke(gone, by=grace.pk, reason="x")
    made["revoked"] = str(gone.pk)
    for name, state in (("open", "open"), ("bought", "open")):
        top_up = TopUp.objects.create(
            wallet=alice.wallet, source="checkout", amount_micros=usd("5"), state=state
        )
        made[name] = str(top_up.pk)
    settings.STRIPE_API_KEY = ""
    return made


def from_a_shell(*words):
    load_command_class("config", words[0]).run_from_argv(["manage.py", *words])


def count():
    enabled = ApiKey.objects.filter(states.ENABLED).count()
    open_ones = Adjustment.objects.filter(state="waiting").count()
    acting = User.objects.filter(is_active=True).count()
    return [enabled, open_ones, acting, *(m.objects.count() for m in (User, Adjustment, Voucher))]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_status_1(cast, capsys, monkeypatch, name):
    monkeypatch.setattr(connections, "close_all", lambda: None)  # Ours is in a transaction.
    arguments, words = MISTAKES[name]
    said = [argument.format(**cast) for argument in arguments]
    before = count()

    with pytest.raises(SystemExit) as ended:
        from_a_shell(*said)

    line = capsys.readouterr().err
    assert ended.value.code == 1
    assert line.startswith("CommandError: ")
    assert line.count("\n") == 1
    assert words in line
    assert count() == before


def test_called_from_python_it_is_an_error_to_catch(db):
    with pytest.raises(CommandError, match="not a day"):
        call_command("trial_balance", "--from", "soon")


def test_who_asks_for_the_trace_gets_it(db, monkeypatch):
    monkeypatch.setattr(connections, "close_all", lambda: None)

    grace = User.objects.create(email="grace@example.org", is_staff=True)
    roles.assign(grace, ["finance"], by=None)

    with pytest.raises(CommandError, match="no open finding"):
        from_a_shell("money", "--traceback", "findings", "--resolve", "x", *WHY)


@pytest.mark.system
def test_from_a_shell_it_is_the_same():
    """As a process of its own, where nothing of a test is in between."""
    done = subprocess.run(
        [sys.executable, "manage.py", "trial_balance", "--from", "soon"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("CommandError: argument --from: 'soon' is not a day, like 2026-03-01\n")


@pytest.mark.parametrize("words", [["reconcile"], ["trial_balance", "--from", "2026-03-01"]])
def test_a_database_that_is_away_is_a_line(monkeypatch, capsys, words):
    def away(*_):
        raise OperationalError("no server there\nIs it running?")

    monkeypatch.setattr(connections["default"], "cursor", away)
    monkeypatch.setattr(connections["default"], "ensure_connection", away)

    with pytest.raises(SystemExit) as ended:
        from_a_shell(*words)

    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.endswith("CommandError: the database cannot be reached: no server there\n")
