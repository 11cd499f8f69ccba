"""Two web processes of one platform, and who attacks its limits: what holds then, in figures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from system_stack import CENT, IMAGE, Stack, free_port
from test_limits_race import a_team, each_budget, plan

from local.up import embedded_broker

PROXY, STRANGER = "127.0.0.2", "127.0.0.1"
"""The first is listed in TRUSTED_PROXIES."""
MEMBER = "203.0.113.5"
TREE = ("workspace", "project", "each_member", "key")
KINDS = ("key", "member", "project", "workspace")
"""What each of these rules makes a budget of."""
PEOPLE = """
import json
from accounts import signins, teams, tokens
from accounts.models import Membership, SignIn
from accounts.oauth import CLIENT_ID
from accounts.signup import sign_up
from apikeys import keys
from common.money import usd
from credits.gifts import grants
people = [sign_up(email=each) for each in {emails!r}]
team = teams.create(owner=people[0], name='Studio')
for each in people[1:]:
    teams.join(team, each, role=Membership.Role.MEMBER, by=people[0].pk)
grants.grant(wallet=team.wallet, amount=usd('100'), key=str(team.pk), reason='a test')
made = [keys.issue(workspace_id=team.pk, user_id=each.pk, name='x', **{key!r}) for each in people]
def sign_in(each):
    code = signins.begin(user=each, workspace_id=team.pk, client_id=CLIENT_ID,
                         redirect_uri='http://localhost:8188/', challenge='x' * 43)
    row = SignIn.objects.get(pk=code.partition('.')[0])
    return {{'id': str(row.pk), 'client': CLIENT_ID, 'access': tokens.sign(row),
            'refresh': signins.refreshed(row)}}
print(json.dumps({{
    'workspace_id': str(team.pk), 'people': [str(each.pk) for each in people],
    'keys': [whole for whole, _ in made], 'ids': [str(key.pk) for _, key in made],
    'sign_ins': [sign_in(people[-1]) for _ in range({sign_ins})]}}))
"""
END = """
import json
from uuid import UUID
from django.db import connection
from accounts import signins, teams
from accounts.models import SignIn
from apikeys import states
from apikeys.models import ApiKey
def over():
    with connection.cursor() as cursor:
        cursor.execute('SELECT clock_timestamp()')
        return cursor.fetchone()[0].isoformat()
acts = [
    lambda: teams.remove({team!r}, {removed!r}, by={owner!r}),
    lambda: states.revoke(ApiKey.objects.get(pk={key!r}), by={owner!r}, reason='a test'),
    lambda: signins.end(SignIn.objects.get(pk={sign_in!r}), why='a test'),
]
ends = []
for act in acts:
    act()
    ends.append(over())
print(json.dumps(ends))
"""
WATCH = """
CREATE TABLE IF NOT EXISTS placed
    (hold uuid, by text, budgets bigint[], asked_at timestamptz, placed_at timestamptz);
CREATE OR REPLACE FUNCTION note_placed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO placed VALUES (NEW.id, coalesce(NEW.memo->>'key', NEW.memo->>'token'), NEW.budgets,
                               statement_timestamp(), clock_timestamp());
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_placed AFTER INSERT ON credits_hold
    FOR EACH ROW EXECUTE FUNCTION note_placed();
"""
"""Notes of each hold when its statement came to the database, and when it was placed."""


class Pair:
    """Two web processes, each at an address of its own."""

    def __init__(self, stack: Stack, **environment: str) -> None:
        self.stack = stack
        before, ports = stack.environment, [free_port(), free_port()]
        stack.environment = {**before, "TRUSTED_PROXIES": PROXY, **environment}
        words = ["-m", "config.web", "--port"]
        try:
            self.processes = [
                stack._spawn(f"web{n}", [*words, str(port)]) for n, port in enumerate(ports)
            ]
        finally:
            stack.environment = before
        for n, port in enumerate(ports):
            stack.await_port(f"web{n}", port)
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]

    def close(self) -> None:
        end(self.processes)

    async def press(
        self,
        credential: dict[str, str],
        over: asyncio.Event,
        *,
        connections: int = 12,
        into: list[Counter[int]] | None = None,
    ) -> list[Counter[int]]:
        """Call at both without a pause until `over`; return the statuses of each."""
        of_each: list[Counter[int]] = into or [Counter(), Counter()]

        async def one(session: aiohttp.ClientSession, which: int) -> None:
            while not over.is_set():
                status = await called(session, self.urls[which], credential)
                of_each[which][status] += 1
                if status != 200:
                    await asyncio.sleep(0.02)

        async with client() as session:
            await asyncio.gather(*(one(session, n % 2) for n in range(connections)))
        return of_each


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextlib.asynccontextmanager
async def client(address: str = STRANGER) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def called(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> int:
    """Make a call; return its status, 0 where the connection broke."""
    body = {"prompt": str(uuid.uuid4()), "width": 8, "height": 8}
    try:
        async with session.post(url + IMAGE, json=body, headers=headers) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, OSError):
        return 0


def people(stack: Stack, count: int, *, sign_ins: int = 0, **key: Any) -> dict[str, Any]:
    """A team of so many with a hundred dollars, a key each, and sign-ins of the last of them."""
    emails = [f"{uuid.uuid4().hex}@example.org" for _ in range(count)]
    script = PEOPLE.format(emails=emails, sign_ins=sign_ins, key=key)
    made: dict[str, Any] = json.loads(stack.manage("shell", "-v0", "-c", script).splitlines()[-1])
    return made


def key(whole: str) -> dict[str, str]:
    return {"X-API-KEY": whole}


async def a_minute_of(seconds: float) -> None:
    """Wait until so much of a window of a minute is left."""
    if (left := 60 - time.time() % 60) < seconds:
        await asyncio.sleep(left + 0.1)


@pytest.fixture(scope="module")
def pair(stack: Stack) -> Iterator[Pair]:
    made = Pair(stack)
    yield made
    made.close()


# --- who says where they are --------------------------------------------------------------------

LIES = [
    {"X-Forwarded-For": MEMBER},
    {"X-Forwarded-For": f"{MEMBER}, {PROXY}"},
    {"Forwarded": f"for={MEMBER};proto=https"},
    {"X-Real-IP": MEMBER},
    {"X-Forwarded-For": MEMBER, "Forwarded": f"for={MEMBER}", "X-Real-IP": MEMBER},
]
TOLD = [
    {"X-Forwarded-For": MEMBER},
    {"X-Forwarded-For": f"198.51.100.9, {MEMBER}"},
    {"X-Forwarded-For": f"unknown, {MEMBER}, {PROXY}", "X-Real-IP": "198.51.100.9"},
    {"X-Forwarded-For": MEMBER, "Forwarded": "for=198.51.100.9"},
]
"""What a proxy of ours sends, behind or beside what a stranger wrote there."""


async def test_only_a_listed_proxy_says_from_where_a_key_is_used(pair):
    there = people(pair.stack, 1, allowed_networks=["203.0.113.0/24"])["keys"][0]
    here = people(pair.stack, 1, allowed_networks=[f"{STRANGER}/32"])["keys"][0]

    async with client(STRANGER) as stranger, client(PROXY) as proxy:
        for url in pair.urls:
            for lie in LIES:
                assert await called(stranger, url, {**key(there), **lie}) == 403
                assert await called(stranger, url, {**key(here), **lie}) == 200
            for told in TOLD:
                assert await called(proxy, url, {**key(there), **told}) == 200
                assert await called(proxy, url, {**key(here), **told}) == 403
            foreign = {"X-Forwarded-For": f"{MEMBER}, 198.51.100.9"}
            assert await called(proxy, url, {**key(there), **foreign}) == 403


async def test_only_a_listed_proxy_says_who_tries_too_often(pair):
    await a_minute_of(15)

    async def tries(session: aiohttp.ClientSession, count: int, told: Any) -> Counter[int]:
        async def one(n: int) -> int:
            url = f"{pair.urls[n % 2]}/oauth/token"
            async with session.post(url, data={"x": "x"}, headers=told(n)) as answer:
                return answer.status

        return Counter(await asyncio.gather(*(one(n) for n in range(count))))

    async with client(STRANGER) as stranger, client(PROXY) as proxy:
        lies = await tries(
            stranger,
            150,
            lambda n: {
                "X-Forwarded-For": f"198.51.{n}.1",
                "Forwarded": f"for=198.51.{n}.1",
                "X-Real-IP": f"198.51.{n}.1",
            },
        )
        many = await tries(proxy, 150, lambda n: {"X-Forwarded-For": f"198.51.{n}.1"})
        one = await tries(proxy, 150, lambda n: {"X-Forwarded-For": f"198.51.{n}.1, {MEMBER}"})

    assert lies[429] == 30
    assert many[429] == 0
    assert one[429] == 30


async def test_only_a_listed_proxy_says_what_the_audit_log_writes_down(pair):
    team = people(pair.stack, 1, scopes=["proxy", "keys:manage"])

    async with client(STRANGER) as stranger, client(PROXY) as proxy:
        for url in pair.urls:
            for session, some in ((stranger, LIES), (proxy, TOLD)):
                for told in some:
                    headers = {**key(team["keys"][0]), **told}
                    made = await session.post(
                        f"{url}/v1/keys",
                        json={"name": "made", "scopes": ["proxy"]},
                        headers=headers,
                    )
                    assert made.status == 201, await made.text()

    noted = pair.stack.rows(
        "SELECT address, count(*) AS n FROM audit_event"
        " WHERE workspace_id = %s AND source = 'web' GROUP BY address",
        team["workspace_id"],
    )
    assert {row["address"]: row["n"] for row in noted} == {
        STRANGER: 2 * len(LIES),
        MEMBER: 2 * len(TOLD),
    }


# --- who is thrown out while they call ----------------------------------------------------------


async def test_who_is_ended_while_they_call_at_both_places_nothing_afterwards(pair):
    """One is removed, of one the key is revoked, of one the sign-in ends; the fourth goes on."""
    stack = pair.stack
    team = people(stack, 4, sign_ins=1)
    stack.rows(WATCH)
    token = {"Authorization": f"Bearer {team['sign_ins'][0]['access']}"}
    credentials = [key(team["keys"][1]), key(team["keys"][2]), token, key(team["keys"][0])]
    names = [team["ids"][1], team["ids"][2], team["sign_ins"][0]["id"], team["ids"][0]]
    over = asyncio.Event()
    statuses: list[list[Counter[int]]] = [[Counter(), Counter()] for _ in credentials]
    calls = asyncio.gather(
        *(pair.press(each, over, into=of) for each, of in zip(credentials, statuses, strict=True))
    )
    owner, removed = (uuid.UUID(each) for each in team["people"][:2])
    script = END.format(
        team=uuid.UUID(team["workspace_id"]), owner=owner, removed=removed, key=names[1],
        sign_in=names[2],
    )  # fmt: skip

    await until(lambda: all(each[200] for of_each in statuses for each in of_each))
    said = await asyncio.to_thread(stack.manage, "shell", "-v0", "-c", script)
    await asyncio.sleep(1)
    over.set()
    await calls

    placed = {
        row["by"]: row
        for row in stack.rows(
            "SELECT by, count(*) AS n, max(asked_at) AS asked, max(placed_at) AS last"
            " FROM placed GROUP BY by"
        )
    }
    ends = [datetime.fromisoformat(each) for each in json.loads(said.splitlines()[-1])]
    for name, ended, of_each in zip(names[:3], ends, statuses[:3], strict=True):
        assert [each.keys() for each in of_each] == [{200, 401}] * 2
        assert placed[name]["n"] == sum(each[200] for each in of_each)
        assert placed[name]["asked"] < ended
        # Who came before, and waited for the wallet meanwhile, is let through.
        assert placed[name]["last"] < ended + timedelta(seconds=1)
    assert [each.keys() for each in statuses[3]] == [{200}] * 2
    assert placed[names[3]]["asked"] > max(ends) + timedelta(seconds=0.5)
    charged = sum(stack.charged(team).values())
    assert charged == CENT * sum(each[200] for of_each in statuses for each in of_each)
    assert stack.wallet(team) == (100_000_000 - charged, 0)


async def test_of_two_refreshes_of_one_token_at_once_one_is_answered_and_the_sign_in_ends(pair):
    team = people(pair.stack, 1, sign_ins=12)

    async def refresh(session: aiohttp.ClientSession, url: str, of: Any) -> tuple[int, Any]:
        data = {
            "grant_type": "refresh_token",
            "refresh_token": of["refresh"],
            "client_id": of["client"],
        }
        async with session.post(f"{url}/oauth/token", data=data) as answer:
            return answer.status, await answer.json()

    await a_minute_of(10)
    async with client("127.0.0.3") as session:
        for each in team["sign_ins"]:
            pairs = await asyncio.gather(*(refresh(session, url, each) for url in pair.urls))
            assert sorted(status for status, _ in pairs) == [200, 400]
            tokens = dict(pairs)
            assert tokens[400]["error"] == "invalid_grant"
            new = {"Authorization": f"Bearer {tokens[200]['access_token']}"}
            assert [await called(session, url, new) for url in pair.urls] == [401, 401]

    ends = pair.stack.rows(
        "SELECT why_ended, count(*) AS n FROM accounts_signin WHERE workspace_id = %s GROUP BY 1",
        team["workspace_id"],
    )
    assert ends == [{"why_ended": "a refresh token used twice", "n": 12}]


# --- a process that is gone, and a day that is over ---------------------------------------------


async def test_a_process_killed_among_two_leaves_each_budget_with_what_was_charged(stack):
    """What the dead one had set aside is there again; the other one spends all that there is."""
    most = 400
    pair = Pair(stack)
    stack.environment |= embedded_broker(stack.cluster.url("comfy"))
    words = ["-m", "celery", "-A", "config.celery", "worker", "-P", "threads", "-c", "2"]
    beat = ["-Q", "calls", "-B", "-s", str(stack.folder / "beat"), "-l", "WARNING"]
    worker = stack._spawn("worker", [*words, *beat])
    team = a_team(stack, budgets=dict.fromkeys(TREE, most * CENT))
    plan(stack, "slow=4", 24)
    plan(stack, "status=500", 10)
    over = asyncio.Event()
    calls = asyncio.create_task(pair.press(key(team["keys"][1]), over, connections=24))
    try:
        await until(lambda: len(stack.charged(team)) >= 20)
        pair.processes[0].kill()
        pair.processes[0].wait(10)
        held = [held for _, held, _ in each_budget(stack, team)]
        assert held == [held[0]] * 4
        assert held[0] > 0
        await until(lambda: len(stack.charged(team)) == most, seconds=120)
    finally:
        over.set()
        dead, alive = await calls
        end([worker, *pair.processes])

    assert dead[0]
    assert 0 not in alive
    assert each_budget(stack, team) == [(kind, 0, most * CENT) for kind in KINDS]
    assert stack.holds() == 0
    assert stack.wallet(team) == (10_000_000 - most * CENT, 0)
    assert "DIFFERS" not in stack.reconcile()


async def test_a_day_that_ends_while_calls_run_has_its_budget_and_so_has_the_next(stack, tmp_path):
    """One team is busy as the day ends, the other one has used it up: each call has its day."""
    most, few = 300, 40
    midnight = int(time.time()) + 35
    stack.environment |= {
        "TIME_ZONE": zone_whose_midnight_is(midnight, tmp_path / "zones"),
        "PYTHONTZPATH": f"{tmp_path / 'zones'}:/usr/share/zoneinfo",
    }
    pair = Pair(stack)
    busy, waits = (
        a_team(stack, period="day", budgets=dict.fromkeys(TREE, limit * CENT))
        for limit in (most, few)
    )
    stack.rows(WATCH)
    plan(stack, "status=500", 20)
    plan(stack, "slow=0.3", 200)
    over = asyncio.Event()
    calls = []
    for team, connections, before in ((waits, 8, 12), (busy, 12, 3)):
        assert time.time() < midnight - before
        await asyncio.sleep(midnight - before - time.time())
        pressing = pair.press(key(team["keys"][1]), over, connections=connections)
        calls.append(asyncio.create_task(pressing))
    try:
        await until(lambda: by_day(stack, busy)[1:] == [most * CENT])
        await until(lambda: by_day(stack, waits)[1:] == [few * CENT])
        await asyncio.sleep(0.5)
    finally:
        over.set()
        statuses = [await each for each in calls]
        pair.close()

    for team in (busy, waits):
        days = by_day(stack, team)
        charged = stack.rows(
            "SELECT asked_at >= to_timestamp(%s) AS later, sum(amount_micros)::bigint AS sum"
            " FROM credits_entry JOIN placed ON 'call:' || hold = key WHERE debit_id = %s"
            " GROUP BY later ORDER BY later",
            midnight,
            team["workspace_id"],
        )
        assert [row["sum"] for row in charged] == days
        assert each_budget(stack, team) == [(kind, 0, each) for kind in KINDS for each in days]
        assert stack.wallet(team) == (10_000_000 - sum(days), 0)
    assert 0 < by_day(stack, busy)[0] < most * CENT
    assert by_day(stack, waits) == [few * CENT] * 2
    assert stack.rows(
        "SELECT count(*) AS n FROM placed JOIN credits_budget ON id = ANY (budgets)"
        " WHERE asked_at < starts_at OR asked_at >= ends_at"
    ) == [{"n": 0}]
    assert {status for of in statuses for each in of for status in each} == {200, 403, 502}
    assert "DIFFERS" not in stack.reconcile()


def by_day(stack: Stack, team: dict[str, Any]) -> list[int]:
    """Return what was taken of the workspace's budget of each day."""
    found = stack.rows(
        "SELECT taken_micros FROM credits_budget WHERE owner = %s ORDER BY starts_at",
        team["workspace_id"],
    )
    return [row["taken_micros"] for row in found]


async def until(true: Callable[[], bool], *, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        assert time.monotonic() < ends, "it did not come about"
        await asyncio.sleep(0.05)


def zone_whose_midnight_is(at: float, folder: Path) -> str:
    """Make a time zone in which a day begins then; PostgreSQL reads the same from its name."""
    east = int(-at % 86400)
    name = f"TST-{east // 3600}:{east // 60 % 60:02}:{east % 60:02}"
    header = struct.pack(">4s16x6l", b"TZif", 0, 0, 0, 0, 1, 4)
    folder.mkdir()
    (folder / name).write_bytes(header + struct.pack(">lBB", east, 0, 0) + b"TST\0")
    return name
