"""A secret takes over from another, step by step, and nobody is thrown out meanwhile."""

import io
import json
import re
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from config import rotation
from config import settings as of_config
from config.doctor import overdue
from config.envfile import EnvironmentFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from accounts import signingkeys, signins, tokens
from accounts.models import SignIn, SigningKey, User
from accounts.signup import sign_up
from apikeys import keys, pairing
from audit.models import Event
from common import rotating
from common.errors import InvalidRequest, NotFound, Unauthorized
from desk import roles
from privacy import steps
from privacy import tokens as links
from privacy.models import Deletion
from proxy import jobs, vault
from proxy.models import VendorAccount
from runs import address as run_addresses
from runs import dialects, isolation, workers
from runs.models import Worker
from uploads import signing as addresses
from webhooks import endpoints
from webhooks.models import Endpoint

ROOT = Path(__file__).parents[2]
FIRST = "first-" + "0123456789abcdef" * 3
NAMES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS", "KEY_PEPPERS", "KEY_PEPPER_NEXT")


@pytest.fixture
def grace(db):
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, ["operations"], by=None)
    return user


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "environment"
    path.write_text(f"# Ours.\nSECRET_KEY='{FIRST}'\nKEY_PEPPERS=1:{'5a' * 32}\nDEBUG=0\n")
    path.chmod(0o640)
    return path


@pytest.fixture
def restart(file, settings, monkeypatch):
    """Have the settings that a program has which starts now, from the file."""

    def start():
        for name in NAMES:
            monkeypatch.setenv(name, EnvironmentFile(file).get(name))
        read = of_config.read()
        peppers = {**read.key_peppers, **read.key_pepper_next}
        settings.KEY_PEPPERS = {v: bytes.fromhex(each) for v, each in peppers.items()}
        settings.KEY_PEPPER_NEXT = next(iter(read.key_pepper_next), None)
        settings.SECRET_KEY = read.secret_key
        settings.SECRET_KEY_NEXT = read.secret_key_next
        settings.SECRET_KEY_FALLBACKS = [
            *filter(None, [read.secret_key_next]),
            *read.secret_key_fallbacks,
        ]

    start()
    return start


@pytest.fixture
def rotate(grace, file, restart):
    """Make a step by command, and start every program again."""

    def step(action, which, *more):
        out = io.StringIO()
        who = ("--by", grace.email, "--reason", "the year is over")
        call_command("rotate", action, which, "--file", str(file), *who, *more, stdout=out)
        restart()
        return out.getvalue()

    return step


# --- The pepper -------------------------------------------------------------------------------


def test_a_pepper_takes_over_and_the_old_one_is_dropped(rotate, alice, bob, make_member, file):
    only_ours(alice, bob)
    rotate("begin", "pepper")
    assert keys.authenticate(alice.key).pepper_version == 1
    assert make_member().api_key_record.pepper_version == 1, "others may not know it yet"

    rotate("use", "pepper")
    assert rotating.peppers() == (2, 1)
    keys.authenticate(alice.key)
    alice.api_key_record.refresh_from_db()
    assert alice.api_key_record.pepper_version == 2
    made = make_member()
    assert made.api_key_record.pepper_version == 2
    with pytest.raises(CommandError, match="living keys were not used since"):
        rotate("drop", "pepper")

    keys.authenticate(bob.key)
    only_ours(alice, bob, made)
    rotate("drop", "pepper")
    assert rotating.peppers() == (2,)
    assert "5a5a" not in file.read_text()
    for each in (alice, bob, made):
        assert keys.authenticate(each.key).pepper_version == 2


def only_ours(*members):
    """Let nobody else's key live, whatever other tests have made."""
    here = [each.workspace_id for each in members]
    keys.ApiKey.objects.exclude(workspace__in=here).update(revoked_at="2026-01-01T00:00Z")


def test_keys_that_nobody_uses_are_given_up_only_when_that_is_said(rotate, alice, bob):
    only_ours(alice, bob)
    rotate("begin", "pepper")
    rotate("use", "pepper")
    keys.authenticate(bob.key)

    rotate("drop", "pepper", "--abandon")

    assert keys.authenticate(bob.key)
    with pytest.raises(Unauthorized):
        keys.authenticate(alice.key)
    assert Event.objects.get(action="secret.dropped").after["lost"] == 1


def test_while_one_machine_uses_it_another_that_only_knows_it_changes_nothing_back(
    rotate, alice, settings
):
    """Machines are started again one by one; a key is good at each of them all the time."""
    rotate("begin", "pepper")
    not_yet = settings.KEY_PEPPER_NEXT
    rotate("use", "pepper")
    keys.authenticate(alice.key)

    settings.KEY_PEPPER_NEXT = not_yet  # Now we are the machine that still waits.
    assert rotating.peppers() == (1, 2)
    assert keys.authenticate(alice.key)
    keys.repepper(alice.key)

    alice.api_key_record.refresh_from_db()
    assert alice.api_key_record.pepper_version == 2


def test_what_is_kept_in_boxes_is_readable_without_the_old_pepper(rotate, grace, alice, settings):
    only_ours(alice)
    settings.OUTSIDE_ORIGINS = ["http://127.0.0.1:9"]
    sealed = vault.sealed({"KEY": "of-the-vendor"})
    account = VendorAccount.objects.create(
        vendor="bfl", name="second", sealed=sealed, changed_by=grace.pk
    )
    hook, secret = endpoints.make(
        alice.workspace_id, url="http://127.0.0.1:9/hook", types=["run.succeeded"],
        name="mine", by=alice.user.pk,
    )  # fmt: skip
    terms = workers.Terms(base_url="http://10.0.0.7:8188", accelerator="L4", micros_per_second=1)
    workers.add("gpu", terms, token="of-the-machine", by=grace.pk, reason="more")
    person = steps.Person(
        id=alice.user.pk,
        name="A",
        emails=("a@example.org",),
        workspaces=(),
        others=(),
        customers=(),
    )
    leaving = a_running_deletion(steps.seal(person))

    rotate("begin", "pepper")
    rotate("use", "pepper")
    resealed = {name for name, count in rotation.reseal().items() if count}
    assert resealed >= {
        "accounts with vendors", "secrets of webhooks", "tokens of machines", "deletions that run",
    }  # fmt: skip
    assert not any(rotation.reseal().values())
    keys.authenticate(alice.key)
    rotate("drop", "pepper")

    assert vault.names(VendorAccount.objects.get(pk=account.pk).sealed, vendor="", name="") == (
        "KEY",
    )
    assert endpoints.signing.unseal(Endpoint.objects.get(pk=hook.pk).secret) == secret
    assert workers.token_of(Worker.objects.get(name="gpu")) == "of-the-machine"
    assert steps.unseal(Deletion.objects.get(pk=leaving.pk).sealed) == person


def a_running_deletion(sealed):
    now = timezone.now()
    return Deletion.objects.create(
        user_id=uuid.uuid4(),
        state="running",
        sealed=sealed,
        confirmed_at=now,
        due_at=now,
        deadline_at=now,
    )


def test_whatever_is_sealed_somewhere_is_sealed_anew_by_us():
    """Else dropping a pepper would lose it: each module that seals has a `reseal` that is known."""
    calls = re.compile(r"\bsealing\.seal\(")
    own = re.compile(r"^from common import [^\n]*\bsealing\b", re.MULTILINE)
    sealing_modules = {
        str(file.relative_to(ROOT).with_suffix("")).replace("/", ".").partition(".")[0]
        for app in ("accounts", "apikeys", "privacy", "proxy", "runs", "webhooks", "outbox",
                    "staff", "dashboard", "desk", "uploads", "usage", "prices", "audit")
        for file in (ROOT / app).rglob("*.py")
        if calls.search(text := file.read_text()) and own.search(text)
    }  # fmt: skip
    known = {act.__module__.partition(".")[0] for act in rotation.RESEAL.values()}

    assert sealing_modules == {"accounts", "privacy", "proxy", "runs", "webhooks"}
    assert known == sealing_modules


# --- SECRET_KEY -------------------------------------------------------------------------------


@pytest.fixture
def tokens_forgotten(monkeypatch):
    """Be a process that has read no keys and remembers no tokens, again with each call."""

    def forget():
        monkeypatch.setattr(signingkeys, "ring", signingkeys.Ring())
        monkeypatch.setattr(tokens, "remembered", tokens.Remembered())

    forget()
    return forget


@pytest.fixture
def signin(alice):
    code = signins.begin(
        user=alice.user, workspace_id=alice.workspace_id, client_id="comfy-local-web",
        redirect_uri="http://127.0.0.1:8188/", challenge="x" * 43,
    )  # fmt: skip
    return SignIn.objects.get(pk=code.partition(".")[0])


def is_signed_in(client):
    return client.get("/account/security/", HTTP_HOST="localhost").status_code == 200


def test_what_the_old_key_signed_is_good_until_it_is_dropped(
    rotate, alice, signin, settings, tokens_forgotten
):
    settings.PUBLIC_URL = ""
    browser = Client()
    browser.force_login(alice.user)
    is_in = browser.get("/my/", HTTP_HOST="localhost").status_code
    signed = what_is_signed(alice, signin)
    kid = signingkeys.ring.signer()[0]
    assert all(good(each) for each in signed.values())

    rotate("begin", "secret-key")
    rotate("use", "secret-key")
    assert settings.SECRET_KEY != FIRST
    tokens_forgotten()
    assert {name: good(each) for name, each in signed.items()} == dict.fromkeys(signed, True)
    assert browser.get("/my/", HTTP_HOST="localhost").status_code == is_in
    assert signingkeys.ring.signer()[0] == kid, "the key that signs is opened, and goes on"
    with pytest.raises(CommandError, match="is good until"):
        rotate("drop", "secret-key")

    newer = what_is_signed(alice, signin)
    rotate("drop", "secret-key", "--abandon")
    tokens_forgotten()
    assert all(good(each) for each in newer.values())
    assert signingkeys.ring.signer()[0] == kid, "it was sealed anew"
    assert tokens.read(signed["token"][1]).sid == signin.pk, "what that signed is good as before"
    assert not any(good(each) for name, each in signed.items() if name != "token")
    assert browser.get("/my/", HTTP_HOST="localhost").status_code == is_in == 200, (
        "a session that was used since was signed anew"
    )


def what_is_signed(alice, signin):
    """Return one of each thing that is signed by SECRET_KEY, and how it is looked at."""
    in_an_hour = int(timezone.now().timestamp()) + 3600
    put = addresses.path("put", "a", "", in_an_hour).partition("signed=")[2].replace("%3D", "=")
    output, deletion = uuid.uuid4(), uuid.uuid4()
    code = "ABCD1234"
    return {
        "token": ("token", tokens.sign(signin)),
        "job": ("job", jobs.token("one")),
        "upload": ("upload", {"expires": str(in_an_hour), "signed": put}),
        "output": ("output", (output, in_an_hour, dialects.signatures(output, in_an_hour)[0])),
        "pairing": ("pairing", (code, pairing._digests(code)[0])),
        "deletion": ("deletion", links.token(deletion, links.STATUS)),
        "address": ("address", (alice.key[-32:], run_addresses._signatures(alice.key[-32:])[0])),
        "folder": ("folder", (alice.workspace_id, isolation.token(alice.workspace_id))),
    }


def good(what):
    kind, given = what
    if kind == "token":
        return bool(tokens.read(given))
    if kind == "job":
        return jobs.is_token(given, "one")
    if kind == "upload":
        return addresses.holds("put", "a", "", given)
    if kind == "output":
        return given[2] in dialects.signatures(given[0], given[1])
    if kind == "pairing":
        return given[1] in pairing._digests(given[0])
    if kind == "address":
        return given[1] in run_addresses._signatures(given[0])
    if kind == "folder":
        return given[1] in isolation.tokens(given[0])
    try:
        return bool(links.read(given, links.STATUS))
    except NotFound:
        return False


def test_a_machine_that_does_not_use_it_yet_takes_what_another_signed(rotate, settings):
    rotate("begin", "secret-key")
    waiting = (settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS)
    rotate("use", "secret-key")
    signed = jobs.token("one")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = waiting

    assert jobs.is_token(signed, "one")
    assert jobs.token("one") != signed


# --- The key that signs tokens ----------------------------------------------------------------


def begin_signing(grace, *more):
    who = ("--by", grace.email, "--reason", "as planned")
    call_command("rotate", "signing-key", *more, *who, stdout=io.StringIO())


def test_the_next_signing_key_is_known_for_a_day_before_it_signs(
    grace, signin, tokens_forgotten, monkeypatch
):
    old, kid = tokens.sign(signin), signingkeys.ring.signer()[0]

    begin_signing(grace)
    tokens_forgotten()

    assert signingkeys.ring.signer()[0] == kid
    assert len(signingkeys.ring.published()) == 2
    monkeypatch.setattr(
        signingkeys.timezone, "now", lambda: real_now() + timedelta(days=1, hours=1)
    )
    assert signingkeys.ring.signer()[0] != kid
    assert tokens.read(old).sid == signin.pk


real_now = timezone.now


def test_a_key_that_others_may_have_verifies_nothing_any_more(grace, signin, tokens_forgotten):
    stolen = tokens.sign(signin)

    begin_signing(grace, "--at-once")
    tokens_forgotten()

    with pytest.raises(Unauthorized):
        tokens.read(stolen)
    assert SigningKey.objects.count() == 1
    assert tokens.read(tokens.sign(signin)).sid == signin.pk


# --- Steps and their file ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps_before", "step", "sentence"),
    [
        ([], ("use", "pepper"), "No pepper is next"),
        ([], ("use", "secret-key"), "No SECRET_KEY is next"),
        ([], ("drop", "pepper"), "No older pepper"),
        ([], ("drop", "secret-key"), "No older SECRET_KEY"),
        ([("begin", "pepper")], ("begin", "pepper"), "is next already"),
        ([("begin", "secret-key")], ("begin", "secret-key"), "is there already"),
        ([("begin", "secret-key")], ("drop", "secret-key"), "No older SECRET_KEY"),
        ([("begin", "pepper")], ("drop", "pepper"), "No older pepper"),
    ],
)
def test_a_step_out_of_turn_is_a_sentence_and_changes_nothing(
    rotate, file, steps_before, step, sentence
):
    for each in steps_before:
        rotate(*each)
    before = file.read_text()

    with pytest.raises(CommandError, match=sentence):
        rotate(*step)

    assert file.read_text() == before


def test_another_file_than_ours_is_refused(rotate, file):
    """Whoever edits what no program has read would undo what that knows."""
    file.write_text(file.read_text().replace(FIRST, FIRST + "x"))

    with pytest.raises(CommandError, match="is not what this program runs on"):
        rotate("begin", "secret-key")


def test_what_was_done_is_written_and_no_secret_is(rotate, grace, file):
    rotate("begin", "pepper")
    rotate("use", "pepper")

    written = Event.objects.filter(actor_id=grace.pk, target="pepper").order_by("id")
    assert [each.action for each in written] == ["secret.begun", "secret.used"]
    (_, second) = EnvironmentFile(file).get("KEY_PEPPERS").split(",")
    assert second.partition(":")[2] not in json.dumps([each.after for each in written])
    assert rotation.used_at("pepper") == written[1].at
    assert rotation.used_at("secret-key") is None


def test_the_file_keeps_what_is_not_ours_and_its_rights(file):
    one = EnvironmentFile(file)
    assert (one.get("SECRET_KEY"), one.get("MISSING")) == (FIRST, "")

    one.write({"SECRET_KEY": "other", "KEY_PEPPER_NEXT": "2:ff"})

    assert file.read_text().splitlines() == [
        "# Ours.", "SECRET_KEY=other", f"KEY_PEPPERS=1:{'5a' * 32}", "DEBUG=0",
        "KEY_PEPPER_NEXT=2:ff",
    ]  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in file.parent.iterdir()] == ["environment"]


def test_of_two_lines_the_last_counts_and_one_is_left(file):
    file.write_text('A=1\nexport A="2"\n')
    one = EnvironmentFile(file)
    assert one.get("A") == "2"

    one.write({"A": "3"})

    assert file.read_text() == "A=3\n"


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be read"):
        EnvironmentFile(tmp_path / "none")


# --- What the doctor says of it ---------------------------------------------------------------


def told():
    return "\n".join(f"{each.state.value} {each.sentence} {each.do}" for each in overdue.look())


def test_the_doctor_tells_what_is_overdue(rotate, alice, monkeypatch):
    only_ours(alice)
    assert "No secret is overdue" in told()
    rotate("begin", "pepper")
    assert "Pepper 2 is known, and makes nothing yet" in told()
    rotate("use", "pepper")
    assert "are kept for 1 keys, unused since" in told()
    keys.authenticate(alice.key)
    assert "No key needs older peppers (1)" in told()
    rotate("drop", "pepper")
    rotate("begin", "secret-key")
    assert "The next SECRET_KEY is known, and makes nothing yet" in told()
    rotate("use", "secret-key")
    assert "No secret is overdue" in told()

    monkeypatch.setattr(overdue.timezone, "now", lambda: real_now() + timedelta(days=30))
    assert "Nothing that is good was signed by SECRET_KEY_FALLBACKS" in told()
    monkeypatch.setattr(overdue.timezone, "now", lambda: real_now() + timedelta(days=366))
    said = told()
    assert "KEY_PEPPERS is the same since" in said
    assert "SECRET_KEY is the same since" in said
    rotate("drop", "secret-key")
    rotate("begin", "secret-key")
    assert "SECRET_KEY_FALLBACKS" not in told(), "what is next is nothing old"


def test_a_signing_key_that_nobody_follows_is_told(db):
    SigningKey.objects.all().delete()
    signingkeys.make(after=0, signs_at=timezone.now() - timedelta(days=32))

    assert "nobody made the next" in told()
