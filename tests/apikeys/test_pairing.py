"""A machine comes to a key of its own: what it asks, what a member does, and what nobody can."""

import base64
import hashlib
import json
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone
from nacl.public import PrivateKey, SealedBox

from apikeys import allowances, keys, pairing
from apikeys.models import ApiKey, Pairing
from audit.models import Event
from common import ratelimits
from outbox.models import Mail

PASSWORD = "four plain words of mine"
HERE = "localhost"


@pytest.fixture(autouse=True)
def nobody_has_tried(tries_forgotten):
    """Each test begins with no tries of anybody."""


@dataclass
class Machine:
    """A ComfyUI with our custom node."""

    client: Client = field(default_factory=lambda: Client(SERVER_NAME=HERE))
    own: PrivateKey = field(default_factory=PrivateKey.generate)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    id: str = ""
    code: str = ""

    def begin(self, **changes):
        asked = {
            "machine": "studio-3",
            "public_key": base64.b64encode(bytes(self.own.public_key)).decode(),
            "secret_digest": hashlib.sha256(self.secret.encode()).hexdigest(),
            **changes,
        }
        return self.client.post("/v1/pairings", asked, content_type="application/json")

    def shows_a_code(self):
        answer = self.begin()
        assert answer.status_code == 201, answer.content
        self.id, self.code = answer.json()["id"], answer.json()["code"]
        return self

    def ask(self, what="", *, method="GET", secret=None):
        return self.client.generic(
            method,
            f"/v1/pairings/{self.id}{what}",
            headers={"X-Pairing-Secret": self.secret if secret is None else secret},
        )

    def open(self) -> str:
        box = base64.b64decode(self.ask().json()["box"])
        return SealedBox(self.own).decrypt(box).decode()


@pytest.fixture(autouse=True)
def one_window(monkeypatch):
    """Tries are counted anew every ten minutes: a test that this falls into counts none twice."""
    began = time.time()
    monkeypatch.setattr(ratelimits, "time", SimpleNamespace(time=lambda: began))


@pytest.fixture
def machine(db):
    return Machine().shows_a_code()


@pytest.fixture
def mira(alice):
    """Alice's browser, where she has just shown once more that it is her."""
    return browser_of(alice)


def browser_of(member):
    member.user.set_password(PASSWORD)
    member.user.save()
    from allauth.account.models import EmailAddress

    EmailAddress.objects.update_or_create(
        user=member.user,
        defaults={"email": member.user.email, "verified": True, "primary": True},
    )
    client = Client(SERVER_NAME=HERE)
    client.post("/account/login/", {"login": member.user.email, "password": PASSWORD})
    assert "_auth_user_id" in client.session
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    return client


def type_code(browser, code):
    return browser.post("/account/pair/", {"code": code})


def approve(browser, page, alice, **changes):
    asked = {
        "name": "studio",
        "workspace": str(alice.workspace_id),
        "limit": "2.50",
        "per_day": "4",
        "days": "30",
        "answer": "allow",
        **changes,
    }
    return browser.post(page, asked)


def paired(browser, machine, alice, **changes):
    page = type_code(browser, machine.code)["Location"]
    answer = approve(browser, page, alice, **changes)
    assert "Paired" in answer.content.decode()


def test_a_code_leads_to_a_key_that_only_the_machine_can_open(machine, mira, alice):
    assert re.fullmatch(rf"[{pairing.ALPHABET}]{{4}}-[{pairing.ALPHABET}]{{4}}", machine.code)
    assert machine.ask().json() == {
        "state": "waiting", "account": None, "box": None,
        "expires_at": machine.ask().json()["expires_at"],
    }  # fmt: skip
    found = type_code(mira, machine.code.lower().replace("-", " "))
    shown = mira.get(found["Location"]).content.decode()
    assert "studio-3" in shown
    assert pairing.check_words(bytes(machine.own.public_key), machine.code) in shown
    assert machine.ask().json()["state"] == "found"

    approve(mira, found["Location"], alice)

    seen = machine.ask().json()
    email = alice.user.email
    assert (seen["state"], seen["account"]) == ("approved", f"{email[0]}…@{'e'}….org")
    whole = machine.open()
    key = keys.authenticate(whole)
    assert (key.name, key.call_limit_micros, key.workspace_id) == (
        "studio", 2_500_000, alice.workspace_id
    )  # fmt: skip
    assert key.scopes == ["proxy", "usage:read"]
    assert timedelta(days=29) < key.expires_at - timezone.now() < timedelta(days=30, minutes=1)

    assert machine.ask("/taken", method="POST").status_code == 204
    assert machine.ask("/taken", method="POST").status_code == 204, "a lost answer is asked again"
    assert (machine.ask().json()["state"], machine.ask().json()["box"]) == ("taken", None)
    assert keys.authenticate(whole)
    letter = Mail.objects.get(to=email).text
    assert letter.startswith('You approved a machine that calls itself "s')
    told = " ".join(letter.split())
    assert "at most $2.50 in one call and $4.00 in a day, for 30 days." in told
    assert set(Event.objects.values_list("action", flat=True)) >= {"key.made", "pairing.approved"}


def test_a_machine_has_its_amount_a_day_from_the_first_call_on(machine, mira, alice):
    """The rule is there with the key, and is the member's own."""
    paired(mira, machine, alice)

    key = ApiKey.objects.get(name="studio")
    (rule,) = allowances.standing(alice.workspace_id, by=alice.user.pk)
    assert (rule.kind, rule.owner, rule.period) == ("key", str(key.family), "day")
    assert (rule.limit, rule.set_by) == (4_000_000, alice.user.pk)
    assert Event.objects.get(action="allowance.set", actor_id=alice.user.pk).after == {
        "limit_micros": 4_000_000
    }
    approved = Event.objects.get(action="pairing.approved", actor_id=alice.user.pk)
    assert (approved.target, approved.workspace_id) == (str(key.pk), alice.workspace_id)
    assert approved.after == {"per_call_micros": 2_500_000, "per_day_micros": 4_000_000, "days": 30}


def test_a_machine_that_cannot_be_held_to_its_day_gets_no_key(machine, mira, alice, monkeypatch):
    """The key and its rule are one transaction."""
    page = type_code(mira, machine.code)["Location"]
    monkeypatch.setattr(allowances, "MOST_MICROS", 3_999_999)

    assert approve(mira, page, alice).status_code == 400

    assert not ApiKey.objects.filter(name="studio").exists()
    assert machine.ask().json()["state"] == "found"


def test_nothing_that_is_kept_is_the_code_or_the_key(machine, mira, alice):
    paired(mira, machine, alice)
    row = Pairing.objects.get()
    kept = b"".join(
        bytes(value) for value in vars(row).values() if isinstance(value, bytes | memoryview)
    )

    assert machine.code.replace("-", "").encode() not in kept
    assert machine.open().encode() not in kept
    assert row.code_digest is None
    assert len(row.box) == 120
    machine.ask("/taken", method="POST")
    assert Pairing.objects.get().box is None


def test_a_code_is_good_once(machine, mira, bob):
    assert type_code(mira, machine.code).status_code == 302

    second = type_code(browser_of(bob), machine.code)

    assert second.status_code == 404
    assert "No machine shows this code" in second.content.decode()


def test_the_page_warns_of_a_machine_in_another_network_and_proposes_small_amounts(db, mira):
    away = Client(SERVER_NAME=HERE, REMOTE_ADDR="203.0.113.9")
    near, far = Machine().shows_a_code(), Machine(away).shows_a_code()

    here, there = (mira.get(type_code(mira, each.code)["Location"]) for each in (near, far))

    warning = "from another network than yours"
    assert warning not in here.content.decode()
    assert warning in there.content.decode()
    assert "203.0.113.9" in there.content.decode()
    form = there.context["form"]
    assert (form["limit"].value(), form["per_day"].value()) == ("1", "5"), "dollars"


def test_a_machine_that_somebody_found_is_nobody_elses(machine, mira, bob):
    page = type_code(mira, machine.code)["Location"]
    other = browser_of(bob)

    assert other.get(page).status_code == 404
    assert approve(other, page, bob).status_code == 404
    assert not ApiKey.objects.filter(name="studio").exists()


def test_who_says_no_gives_nothing(machine, mira, alice):
    page = type_code(mira, machine.code)["Location"]

    assert "gets nothing" in mira.post(page, {"answer": "deny"}).content.decode()

    assert machine.ask().json()["state"] == "refused"
    said_no = Event.objects.get(action="pairing.refused", actor_id=alice.user.pk)
    assert (said_no.actor_id, said_no.target) == (alice.user.pk, machine.id)
    assert approve(mira, page, alice).status_code == 404
    assert ApiKey.objects.filter(user=alice.user).count() == 1


def test_a_second_approval_makes_no_second_key(machine, mira, alice):
    page = type_code(mira, machine.code)["Location"]
    approve(mira, page, alice)

    assert approve(mira, page, alice).status_code == 404
    assert ApiKey.objects.filter(name="studio").count() == 1


def test_ten_minutes_are_all(machine, mira, alice):
    Pairing.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert type_code(mira, machine.code).status_code == 404
    assert machine.ask().json()["state"] == "expired"


def test_a_machine_found_in_time_and_approved_too_late_gets_nothing(machine, mira, alice):
    page = type_code(mira, machine.code)["Location"]
    Pairing.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert approve(mira, page, alice).status_code == 404
    assert ApiKey.objects.filter(user=alice.user).count() == 1


def test_a_key_that_no_machine_took_is_revoked_and_its_box_wiped(machine, mira, alice):
    paired(mira, machine, alice)
    whole = machine.open()
    Pairing.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    pairing.tend()

    key = ApiKey.objects.get(name="studio")
    assert (key.revoked_at is not None, key.status_reason) == (True, "nobody took it")
    assert Pairing.objects.get().box is None
    with pytest.raises(keys.Unauthorized):
        keys.authenticate(whole)
    assert machine.ask("/taken", method="POST").status_code == 404


def test_what_is_over_for_a_day_is_forgotten_and_what_was_taken_works_on(machine, mira, alice):
    paired(mira, machine, alice)
    whole = machine.open()
    machine.ask("/taken", method="POST")
    Pairing.objects.update(expires_at=timezone.now() - timedelta(days=1, seconds=1))

    pairing.tend()

    assert not Pairing.objects.exists()
    assert keys.authenticate(whole)


def test_a_machine_that_does_not_want_that_account_gives_up_and_the_key_ends(machine, mira, alice):
    paired(mira, machine, alice)
    whole = machine.open()

    assert machine.ask(method="DELETE").status_code == 204
    assert machine.ask(method="DELETE").status_code == 204

    assert machine.ask().json()["state"] == "refused"
    with pytest.raises(keys.Unauthorized):
        keys.authenticate(whole)


def test_a_machine_that_took_its_key_does_not_lose_it_by_giving_up(machine, mira, alice):
    paired(mira, machine, alice)
    whole = machine.open()
    machine.ask("/taken", method="POST")

    machine.ask(method="DELETE")

    assert keys.authenticate(whole)


@pytest.mark.parametrize("secret", ["", "x", "wrong" * 20, "ü\udcff"[:1]])
def test_the_id_alone_tells_nothing(machine, secret):
    for method, what in (("GET", ""), ("DELETE", ""), ("POST", "/taken")):
        assert machine.ask(what, method=method, secret=secret).status_code == 404


def test_what_was_forgotten_meanwhile_is_not_there(machine):
    row = Pairing.objects.get(pk=machine.id)
    Pairing.objects.filter(pk=row.pk).delete()

    for act in (pairing.take, pairing.give_up):
        with pytest.raises(pairing.NotFound):
            act(row)


WEAK = [bytes(32), b"\1" + bytes(31)]


@pytest.mark.parametrize(
    "changes",
    [
        {"public_key": "no base64"},
        {"public_key": base64.b64encode(b"short").decode()},
        {"public_key": None},
        {"public_key": "ü" * 43},
        *({"public_key": base64.b64encode(weak).decode()} for weak in WEAK),
        {"secret_digest": "xyz"},
        {"secret_digest": "00"},
        {"machine": "x" * 201},
        {"machine": {"a": 1}},
        {"machine": "a\0b"},
    ],
)
def test_what_cannot_be_is_a_sentence(db, changes):
    answer = Machine().begin(**changes)

    assert answer.status_code == 400, answer.content
    assert answer.json()["error"] == "invalid_request"
    assert next(iter(changes)) in answer.json()["message"]


def test_a_name_is_shown_as_text_and_never_more(db, mira):
    machine = Machine()
    answer = machine.begin(machine="<b>it\u202eis</b> " + "x" * 100)

    page = type_code(mira, answer.json()["code"])["Location"]
    shown = mira.get(page).content.decode()

    assert "<b>it" not in shown
    assert "\u202e" not in shown
    assert len(Pairing.objects.get().machine) <= 60


@pytest.mark.parametrize("host", ["testserver", "192.168.1.9", "credits.example.org"])
def test_by_plain_http_nothing_begins(db, settings, host):
    settings.ALLOWED_HOSTS = ["*"]
    machine = Machine(Client(SERVER_NAME=host))

    assert machine.begin().status_code == 400
    assert "https" in machine.begin().json()["message"]
    assert Machine(Client(SERVER_NAME=host)).client.post(
        "/v1/pairings", json.dumps({}), content_type="application/json", secure=True
    ).json()["message"].startswith("public_key")  # fmt: skip


def test_a_guesser_is_stopped_and_a_member_with_many_machines_is_not(db, mira, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_BEGUN", 100)
    for _ in range(pairing.MOST_WRONG["person"] + 5):
        assert type_code(mira, Machine().shows_a_code().code).status_code == 302

    wrong = [type_code(mira, "2222-2222").status_code for _ in range(12)]

    assert wrong == [404] * 10 + [429] * 2
    assert type_code(mira, Machine().shows_a_code().code).status_code == 429


def test_one_address_guesses_no_more_with_many_members(db, make_member):
    codes = []
    for _ in range(4):
        browser = browser_of(make_member("0"))
        codes += [type_code(browser, "2222-2222").status_code for _ in range(10)]

    assert codes == [404] * 30 + [429] * 10


def test_a_machine_that_begins_again_and_again_is_stopped(db):
    codes = [Machine().begin().status_code for _ in range(pairing.MOST_BEGUN + 1)]

    assert codes == [201] * pairing.MOST_BEGUN + [429]


def test_too_many_waiting_machines_are_too_many(db, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_WAITING", 2)
    answers = [Machine().begin() for _ in range(3)]

    assert [each.status_code for each in answers] == [201, 201, 429]
    assert answers[2]["Retry-After"] == "60"


def test_it_needs_who_showed_again_that_it_is_them(machine, mira):
    page = type_code(mira, machine.code)["Location"]
    session = mira.session
    for shown in session["account_authentication_methods"]:
        shown["at"] -= 3600
    session.save()

    answer = mira.get(page)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/reauthenticate/")


def test_nobody_approves_from_another_origin(machine, mira, alice):
    page = type_code(mira, machine.code)["Location"]

    answer = mira.post(page, {"answer": "allow"}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert machine.ask().json()["state"] == "found"


@pytest.mark.parametrize(
    "changes",
    [
        {"per_day": "0"}, {"per_day": ""}, {"per_day": "-0.01"}, {"per_day": "NaN"},
        {"limit": "0"}, {"limit": "-1"}, {"limit": "1e9"}, {"limit": "NaN"}, {"limit": "x"},
        {"days": "0"}, {"days": "100000"}, {"name": ""}, {"name": "x" * 101},
        {"workspace": "00000000-0000-0000-0000-000000000001"}, {"workspace": ""},
        {"name": "a\0b"},
    ],
)  # fmt: skip
def test_what_is_filled_in_wrong_is_asked_again(machine, mira, alice, changes):
    page = type_code(mira, machine.code)["Location"]

    answer = approve(mira, page, alice, **changes)

    assert answer.status_code == 200
    assert "Let this machine" in answer.content.decode()
    assert ApiKey.objects.filter(user=alice.user).count() == 1
    assert machine.ask().json()["state"] == "found"


def test_the_short_address_leads_to_the_page(client, db):
    assert client.get("/pair")["Location"] == "/account/pair/"


def test_of_many_who_type_a_code_at_once_one_has_the_machine(committed, at_once, make_member):
    members = [make_member("0") for _ in range(6)]
    begun = pairing.begin(
        machine="studio-3", public_key=bytes(PrivateKey.generate().public_key),
        secret_digest=bytes(32), address="192.0.2.7",
    )  # fmt: skip

    def work(member):
        try:
            return pairing.find(begun.code, user=member.user, address="192.0.2.9")
        except pairing.NotFound:
            return None

    won = [row for row in at_once(work, members) if row is not None]

    assert len(won) == 1


def test_of_many_approvals_and_refusals_at_once_one_counts(committed, at_once, make_member):
    member = make_member("0")
    begun = pairing.begin(
        machine="studio-3", public_key=bytes(PrivateKey.generate().public_key),
        secret_digest=bytes(32), address="192.0.2.8",
    )  # fmt: skip
    row = pairing.find(begun.code, user=member.user, address="192.0.2.10")
    giver = pairing.life.Giver(
        member.user.pk,
        member.workspace_id,
        pairing.Rights(scopes=pairing.MAY),
    )

    def work(number):
        try:
            if number % 2:
                pairing.refuse(row.pk, user=member.user)
                return "refused"
            pairing.approve(
                row.pk,
                giver,
                user=member.user,
                name=f"n{number}",
                limit=10_000,
                per_day=50_000,
                days=7,
            )
        except pairing.NotFound:
            return None
        return "approved"

    done = [each for each in at_once(work, range(8)) if each]

    assert len(done) == 1
    made = ApiKey.objects.filter(user=member.user, name__startswith="n").count()
    assert made == (done == ["approved"])
