"""A workspace's own account with a vendor: it pays the vendor, and here a fee, not the price.

Beside it the operator's account is there, and would be served: nothing may ever go under it.
"""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import orjson
import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from proxy_stage import ECHO, ULTRA, check_refusal, in_thread
from test_vendor_accounts import FIRST, SECOND, Far, refusing
from wire_vendor import sized, vendor_that

from common.errors import InvalidRequest
from proxy import choosing, switches, vendor_accounts
from proxy.dialect import Verdict
from proxy.health import OUTCOMES, Health, read

OWN = SECOND
OPERATORS = FIRST
MADE = sized(orjson.dumps({"id": "job-of-owner-1", "polling_url": "x"}))
FREE = "/proxy/sandbox/v1/free"


@pytest.fixture
async def bring(stage, settings):
    """Have a member's workspace bring its own account, and this process know it."""
    platform = stage.application._platform

    async def write(member, vendor="sandbox", key=OWN):
        workspace = uuid.UUID(member.workspace)
        by = uuid.UUID(member.user)
        await in_thread(lambda: vendor_accounts.bring(workspace, vendor, {"KEY": key}, by=by))
        await platform.vault.renew(platform.books)

    settings.VENDOR_SETTINGS = {"VENDOR_SANDBOX_KEY": OPERATORS, "VENDOR_BFL_KEY": OPERATORS}
    write.platform = platform
    yield write
    stage.do("DELETE FROM proxy_vendoraccount")
    stage.do("DELETE FROM proxy_vendorswitch")


async def asked(stage, settings, member, far, path=ECHO, json=None):
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        return await stage.post(path, member, json=json or {"prompt": "x", "most_units": 900})


async def test_its_calls_go_under_it_and_cost_nothing_here(stage, settings, bring):
    """Also where the workspace has no credits at all."""
    member, other = await stage.member(0), await stage.member()
    await bring(member)
    far = Far(sized(b'{"usage":{"units":900}}'))

    answer = await asked(stage, settings, member, far)
    others = await asked(stage, settings, other, far)

    assert (answer.status, others.status) == (200, 200)
    assert answer.headers["x-comfy-credits-used"] == "0"
    assert far.keys == [OWN, OPERATORS]
    assert stage.wallet(member) == (0, 0)
    assert stage.spent(other) == 1_000
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("delivered", 0)
    assert (call["price_version"], call["facts"]["account"]) == ("own-account", "own")
    events = (await stage.get("/customers/events", member)).json()["events"]
    assert events[0]["params"]["own_account"] is True
    events = (await stage.get("/customers/events", other)).json()["events"]
    assert "own_account" not in events[0]["params"]


async def test_they_cost_the_stated_fee(stage, settings, bring):
    member = await stage.member()
    await bring(member)
    settings.VENDOR_SETTINGS = {
        "VENDOR_SANDBOX_KEY": OPERATORS,
        "VENDOR_SANDBOX_OWN_FEE_MICROS": "2500",
    }

    answer = await asked(stage, settings, member, Far(sized(b'{"usage":{"units":900}}')))

    assert answer.status == 200
    assert stage.wallet(member) == (5_000_000 - 2_500, 0)


@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_it_never_goes_over_to_the_operators(stage, settings, bring, status):
    member = await stage.member()
    await bring(member)
    far = Far(*[refusing(status)] * 3)

    answer = await asked(stage, settings, member, far)

    assert answer.type == ("provider_rate_limited" if status == 429 else "provider_disabled")
    assert far.keys == [OWN]
    assert stage.wallet(member) == (5_000_000, 0)
    check_refusal(answer)
    if status != 429:
        assert "your workspace's own account" in answer.json()["message"]
        assert f"{status}" in answer.json()["message"]
    assert stage.rows("SELECT 1 FROM credits_finding WHERE key LIKE 'account:%%'") == []


async def test_a_job_stays_with_it_and_its_removal_is_told(stage, settings, bring):
    member = await stage.member()
    await bring(member, "bfl")
    workspace, by = uuid.UUID(member.workspace), uuid.UUID(member.user)
    ended = {
        "id": "job-of-owner-1",
        "status": "Ready",
        "result": {"sample": "http://127.0.0.1:1/a.png"},
    }
    far = Far(MADE, sized(orjson.dumps(ended)))
    made = await asked(stage, settings, member, far, ULTRA)
    assert made.status == 200
    assert stage.wallet(member) == (5_000_000, 0)

    with pytest.raises(vendor_accounts.JobsRunning, match="1 job runs under this account"):
        await in_thread(lambda: vendor_accounts.take_away(workspace, "bfl", by=by))
    async with vendor_that(far) as vendor:
        settings.VENDOR_BASE_URL = vendor.url
        stage.do(
            "UPDATE proxy_job SET poll_url = %s WHERE workspace_id = %s",
            vendor.url + "/v1/get_result?id=job-of-owner-1",
            member.workspace,
        )
        polled = await stage.get(made.json()["polling_url"])

    assert polled.json()["status"] == "Ready"
    assert far.keys == [OWN, OWN]
    (call,) = stage.calls(member)
    assert (call["outcome"], call["charged_micros"]) == ("delivered", 0)
    assert stage.spent(member) == 0

    assert await in_thread(lambda: vendor_accounts.take_away(workspace, "bfl", by=by)) == 0
    await bring.platform.vault.renew(bring.platform.books)
    stays = stage.row("SELECT sealed, removed_at FROM proxy_vendoraccount")
    assert stays["sealed"] == ""
    assert stays["removed_at"]
    far = Far(sized(b'{"id": "job-of-owner-2", "polling_url": "x"}'))
    again = await asked(stage, settings, member, far, ULTRA)
    assert again.status == 200
    assert far.keys == [OPERATORS]
    assert stage.wallet(member)[1] > 0, "it costs its price again"


async def test_what_was_made_under_an_account_is_used_under_it(stage, settings, bring):
    """An id of the operator's account goes there, one of its own to its own; never both at once."""
    member = await stage.member()
    platform = bring.platform
    own = platform.books.own
    await own("sandbox", member.workspace, [("file", "a")], account="default")
    await bring(member)
    await own("sandbox", member.workspace, [("file", "b")], account="own")
    route = SimpleNamespace(
        vendor=(found := _route()).vendor, operation=found.operation, name=found.name
    )
    caller = _caller(member)

    async def under(*names):
        uses = [("file", name) for name in names]
        return [each.name for each in await choosing.candidates(platform, route, caller, uses)]

    assert await under("a") == ["default"]
    assert await under("b") == ["own"]
    assert await under() == ["own"]
    with pytest.raises(InvalidRequest, match="several accounts"):
        await under("a", "b")


def _route():
    from proxy.vendors import catalogue

    return catalogue().find("POST", ECHO)


def _caller(member):
    from apikeys import callers

    return callers.by_key(member.key, "127.0.0.1")


# --- How its owner sets it ----------------------------------------------------------------------


@pytest.fixture
async def owner(stage, settings):
    """A browser of the member's own, which shows what proves that one of our pages asks."""
    member = await stage.member()

    def come_in():
        client = Client(SERVER_NAME="localhost")
        client.force_login(
            get_user_model().objects.get(pk=member.user),
            backend=settings.AUTHENTICATION_BACKENDS[0],
        )
        return client

    client = await in_thread(come_in)

    async def ask(method, vendor="sandbox", body=None, workspace=member.workspace, more=""):
        path = f"/v1/workspaces/{workspace}/vendors/{vendor}/account{more}"
        call = getattr(client, method)
        content = {"data": orjson.dumps(body or {}), "content_type": "application/json"}
        return await in_thread(lambda: call(path, **(content if method == "put" else {})))

    yield SimpleNamespace(ask=ask, member=member)
    stage.do("DELETE FROM proxy_vendoraccount")


async def test_an_owner_writes_it_and_never_reads_it(stage, owner):
    none = await owner.ask("get")
    made = await owner.ask("put", body={"settings": {"KEY": OWN}})
    again = await owner.ask("put", body={"settings": {"KEY": OWN + "-new"}})
    read_ = await owner.ask("get")
    gone = await owner.ask("delete")

    told = [each.status_code for each in (none, made, again, read_, gone)]
    assert told == [404, 201, 200, 200, 200]
    assert read_.json()["settings"] == ["KEY"]
    assert read_.json()["fee_micro_usd"] == 0
    assert OWN not in f"{made.content}{again.content}{read_.content}"
    events = stage.rows(
        "SELECT action FROM audit_event WHERE workspace_id = %s ORDER BY id", owner.member.workspace
    )
    assert [event["action"].partition(".")[2] for event in events if "vendor" in event["action"]] \
        == ["added", "renewed", "removed"]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "settings_"),
    [
        ("sandbox", {}),
        ("sandbox", {"KEY": ""}),
        ("sandbox", {"KEY": "a\r\nX-Other: b"}),
        ("sandbox", {"OTHER": "a"}),
        ("sandbox", {"KEY": 7, "BASE_URL": "http://127.0.0.1"}),
        ("vertexai", {"CREDENTIALS": "/etc/passwd"}),
        ("vertexai", {"CREDENTIALS": '{"token_uri": "http://127.0.0.1/"}', "KEY": "abcdefgh"}),
        ("vertexai", {"PROJECT": "abc"}),
        ("kling", {"SECRET": "only-one-half"}),
    ],
)
async def test_what_cannot_be_an_account_is_told(stage, owner, vendor, settings_):
    answer = await owner.ask("put", vendor, {"settings": settings_})

    assert answer.status_code == 400, answer.content
    assert stage.rows("SELECT 1 FROM proxy_vendoraccount") == []


async def test_it_is_for_its_owner_at_a_browser(stage, owner):
    other = await stage.member()
    anothers = await owner.ask("put", body={"settings": {"KEY": OWN}}, workspace=other.workspace)
    unknown = await owner.ask("put", "nobody", {"settings": {"KEY": OWN}})
    stage.do(
        "UPDATE apikeys_apikey SET scopes = '{billing:manage}' WHERE id = %s", owner.member.key_id
    )
    path = f"/v1/workspaces/{owner.member.workspace}/vendors/sandbox/account"
    by_key = await stage.get(path, owner.member)
    stage.do("UPDATE accounts_membership SET role = 'member' WHERE user_id = %s", owner.member.user)
    no_owner = await owner.ask("get")

    told = [anothers.status_code, unknown.status_code, by_key.status, no_owner.status_code]
    assert told == [404, 404, 403, 403]


async def test_who_pays_sends_nobodys_calls_to_an_account_of_theirs(stage, owner):
    """What the team's calls hold would be read there."""
    stage.do(
        "UPDATE accounts_membership SET role = 'billing' WHERE user_id = %s", owner.member.user
    )

    told = [
        (await owner.ask(method, body={"settings": {"KEY": OWN}})).status_code
        for method in ("put", "get", "delete")
    ]

    assert told == [403, 403, 403]
    assert stage.rows("SELECT 1 FROM proxy_vendoraccount") == []


# --- Off, and how vendors serve us --------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "sandbox/v1/echo"])
async def test_what_staff_switch_off_says_their_sentence(stage, settings, bring, path):
    member = await stage.member()
    platform, staff = bring.platform, uuid.uuid4()
    sentence = "Sandbox is closed until Monday."
    await in_thread(lambda: switches.switch_off("sandbox", path, sentence, by=staff))
    await platform.vault.renew(platform.books)
    far = Far()

    off = await asked(stage, settings, member, far)
    free = await asked(stage, settings, member, far, FREE)
    await in_thread(lambda: switches.switch_on("sandbox", path, by=staff, reason="Monday"))
    await platform.vault.renew(platform.books)
    on = await asked(stage, settings, member, far)

    assert (off.status, off.type, off.json()["message"]) == (403, "provider_disabled", sentence)
    assert free.status == (200 if path else 403)
    assert on.status == 200
    assert len(stage.calls(member)) == 1


async def test_how_vendors_serve_us_is_counted_over_all_processes(stage, settings, bring):
    member = await stage.member()
    stage.do("DELETE FROM proxy_vendorhealth")
    far = Far(refusing(402), refusing(422), None)
    for _ in range(5):
        await asked(stage, settings, member, far)
    other = Health()  # Of another process.
    other.note("sandbox", "default", "delivered", seconds=45.0)
    other.error("sandbox", "second", "busy (status 429)")

    for each in (bring.platform.health, other):
        await each.write(bring.platform.books)
        await each.write(bring.platform.books)
    found = {each.account: each for each in await in_thread(lambda: read(vendor="sandbox"))}

    served = found["default"]
    assert served.outcomes == {"delivered": 3, "rejected": 1, "operator": 1, "unknown": 1}
    assert served.success == pytest.approx(3 / 5)
    assert served.p50_seconds == 0.25
    assert served.last_error == "The answer was lost."
    assert found["second"].last_error == "busy (status 429)"
    assert found["second"].success is None
    settings.METRICS_TOKEN = "a-token"
    metrics = await stage.get("/metrics", headers={"Authorization": "Bearer a-token"})
    assert b'platform_vendor_success_ratio{account="default",vendor="sandbox"} 0.6' in metrics.body


async def test_what_cannot_be_written_is_written_later(stage, bring):
    """The database is away: nothing that was counted is lost."""
    from common.errors import Unavailable

    stage.do("DELETE FROM proxy_vendorhealth")
    health = Health()
    health.note("sandbox", "default", "busy")

    class Away:
        async def query(self, *_):
            raise Unavailable("away")

    await health.write(Away())
    health.note("sandbox", "default", "busy")
    await health.write(bring.platform.books)

    (found,) = await in_thread(lambda: read(vendor="sandbox"))
    assert found.busy == 2


def test_every_verdict_of_a_refusal_has_its_place():
    refusals = {v.value for v in Verdict} - {"done", "running", "missing"}

    assert refusals <= set(OUTCOMES)
