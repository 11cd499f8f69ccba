"""What people do meanwhile, and what money each of it moves: known, or known to be unknown.

A wish that moves money is written down before it is tried. Its state is `done` (they were told so),
`refused` (they were told that nothing is changed), or `unknown` (no answer came).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runs_at_work import JOBS, slow
from system_stack import CENT, STAFF

from tests.chaos.chaos_clients import Member
from tests.chaos.chaos_house import House
from tests.chaos.chaos_office import AGAIN, Office

MICROS = 1_000_000


@dataclass
class Wish:
    """Somebody wants money to move; `mark` is by what its row is found."""

    kind: str
    member: Member
    micros: int
    mark: str
    state: str = "unknown"


class Moves:
    def __init__(self, house: House, office: Office, members: list[Member]) -> None:
        self._house, self._office, self._members = house, office, members
        self.wishes: list[Wish] = []
        self.sessions: list[str] = []
        """Pages of purchases that were paid at Stripe, or may have been."""
        self.runs: list[tuple[Member, str]] = []
        self.faults: list[str] = []
        self.outcomes: list[tuple[str, str]] = []
        self._turns = 0

    async def do(self, act: str, values: dict[str, Any]) -> str:
        """Do it, and return what was met: that is an answer, and not a fault of ours."""
        values = dict(values)
        if "member" in values:
            values["member"] = self._members[values["member"]]
        work: Callable[..., Awaitable[str]] = getattr(self, f"_{act}")
        outcome = await work(**values)
        self.outcomes.append((act, outcome))
        return outcome

    # --- members ------------------------------------------------------------------------------

    async def _buy(self, member: Member, dollars: int) -> str:
        """Begin a purchase, pay at Stripe, come back."""
        asked = {"amount_micros": dollars * MICROS, "currency": "usd"}
        status, page = await self.http("POST", "/customers/credit", member.key, asked)
        if status != 201:
            return str(status)
        session = page["checkout_url"].rpartition("/")[2]
        self.sessions.append(session)
        try:
            await asyncio.to_thread(self._house.stripe.post, f"sessions/{session}/pay")
        except OSError:
            return "not known to be paid"
        return str((await self.http("GET", "/customers/balance", member.key))[0])

    async def _run(self, member: Member, works: float, calls: int, canceled: bool) -> str:
        self._turns += 1
        graph = slow(works, color=self._turns, steps=4, calls=calls)
        status, job = await self.http("POST", JOBS, member.key, {"workflow": graph})
        if status != 201:
            return str(status)
        self.runs.append((member, str(job["id"])))
        if canceled:
            await asyncio.sleep(works / 2)
            path = f"{JOBS}/{job['id']}/cancel"
            return f"canceled {(await self.http('POST', path, member.key, {}))[0]}"
        return "201"

    async def _rotate_key(self, member: Member) -> str:
        path = f"/v1/keys/{member.key_id}/rotate"
        status, made = await self.http("POST", path, member.manager, {"overlap_seconds": 60})
        if status == 201:
            member.key, member.key_id = made["key"], made["id"]
        return str(status)

    async def _revoke_key(self, member: Member) -> str:
        """End the key in the middle of its calls; have another one, sooner or later."""
        path = f"/v1/keys/{member.key_id}"
        status, _ = await self.http("DELETE", path, member.manager)
        asked = {"name": "next", "scopes": ["proxy", "usage:read", "runs"]}
        for _ in range(AGAIN):
            made_status, made = await self.http("POST", "/v1/keys", member.manager, asked)
            if made_status == 201:
                member.key, member.key_id = made["key"], made["id"]
                return str(status)
            await asyncio.sleep(0.5)
        return "no other key"

    async def _limit_key(self, member: Member, seconds: float) -> str:
        """Have the key pay less than a cent for a call, for a while."""
        path = f"/v1/keys/{member.key_id}"
        status, _ = await self.http(
            "PATCH", path, member.manager, {"call_limit_micro_usd": CENT - 1}
        )
        await asyncio.sleep(seconds)
        for _ in range(AGAIN):
            undone, _ = await self.http(
                "PATCH", path, member.manager, {"call_limit_micro_usd": None}
            )
            if undone < 500 and undone:
                break
            await asyncio.sleep(0.5)
        return str(status)

    async def _budget(self, member: Member, cents: int, seconds: float) -> str:
        who = {"user_id": member.user_id, "workspace_id": member.workspace_id}
        status, _ = await self._office.ask("budget", member=who, micros=cents * CENT)
        await asyncio.sleep(seconds)
        await self._office.insist("budget", member=who, micros=None)
        return status

    async def _ask_deletion(self, member: Member, seconds: float, confirmed: bool) -> str:
        """Want to go, and stay after all."""
        who = {"user_id": member.user_id}
        status, wish = await self._office.ask("ask_deletion", member=who)
        if status != "done":
            return status
        if confirmed:
            status, _ = await self._office.ask("confirm_deletion", wish=wish)
        await asyncio.sleep(seconds)
        await self._office.insist("cancel_deletion", wish=wish)
        return status

    # --- staff --------------------------------------------------------------------------------

    async def _give(self, member: Member, cents: int) -> str:
        return await self._adjust("give", member, cents * CENT)

    async def _take(self, member: Member, cents: int) -> str:
        return await self._adjust("take", member, cents * CENT)

    async def _adjust(self, word: str, member: Member, micros: int) -> str:
        wish = self._wish(word, member, micros if word == "give" else -micros)
        amount = f"{micros / MICROS:.2f}"
        wish.state, _ = await self._office.manage(
            "money", word, member.email, amount, *self._by(wish.mark)
        )
        return wish.state

    async def _voucher(self, member: Member, cents: int, stopped: bool) -> str:
        """Make a voucher of one use, and have it redeemed twice at once; or stopped meanwhile."""
        status, made = await self._office.told(
            "money", "voucher", "make", f"chaos {len(self.wishes)}", f"{cents / 100:.2f}",
            *self._by("chaos"),
        )  # fmt: skip
        if status != "done":
            return status
        wish = self._wish("voucher", member, cents * CENT, mark=str(made["id"]))
        asked = [
            self.http("POST", "/v1/vouchers/redeem", member.key, {"code": made["code"]}, at=at)
            for at in (0, 1)
        ]
        if stopped:
            stop = self._office.manage("money", "voucher", "stop", made["id"], *self._by("chaos"))
            answers = (await asyncio.gather(stop, *asked))[1:]
        else:
            answers = await asyncio.gather(*asked)
        statuses = sorted(status for status, _ in answers)
        if 200 in statuses:
            wish.state = "done"
        elif all(400 <= status < 500 for status in statuses):
            wish.state = "refused"
        return f"{statuses}"

    async def _refund(self, member: Member, share: float) -> str:
        """Give a part of a purchase back."""
        status, found = await self._office.told("money", "purchases", member.email)
        if status != "done":
            return status
        left = [each for each in found if each["unspent_micros"] >= 2 * CENT]
        if not left:
            return "nothing to give back"
        cents = max(1, int(left[0]["unspent_micros"] // CENT * share))
        words = ("money", "refund", left[0]["id"], "--amount", f"{cents / 100:.2f}")
        return (await self._office.manage(*words, *self._by("chaos")))[0]

    async def _freeze_wallet(self, member: Member, seconds: float) -> str:
        status, _ = await self._office.manage("money", "freeze", member.email, *self._by("chaos"))
        await asyncio.sleep(seconds)
        words = ["money", "release", member.email, *self._by("chaos")]
        await self._office.insist("manage", words=words)
        return status

    async def _publish_prices(self, percent: int) -> str:
        status, made = await self._office.told(
            "prices", "draft", f"--markup=sandbox={percent}", *self._by("chaos")
        )
        if status != "done":
            return status
        draft = str(made["draft"])
        await self._office.manage("prices", "preview", draft)
        words = ("prices", "publish", draft, "--in", "12")
        return (await self._office.manage(*words, *self._by("chaos")))[0]

    async def _vendor_off(self, seconds: float) -> str:
        return await self._off_and_on(
            seconds, ("vendor", "off", "sandbox"), ("vendor", "on", "sandbox")
        )

    async def _maintenance(self, seconds: float) -> str:
        return await self._off_and_on(seconds, ("maintenance", "begin"), ("maintenance", "end"))

    async def _limit_at_once(self, member: Member, most: int, seconds: float) -> str:
        words = ("member", "limit", member.email)
        return await self._off_and_on(seconds, (*words, str(most)), (*words, "any"))

    async def _off_and_on(self, seconds: float, off: tuple[str, ...], on: tuple[str, ...]) -> str:
        status, _ = await self._office.manage(*off, *self._by("chaos"))
        await asyncio.sleep(seconds)
        await self._office.insist("manage", words=[*on, *self._by("chaos")])
        return status

    def _by(self, reason: str) -> tuple[str, ...]:
        return ("--by", STAFF, "--reason", reason)

    def _wish(self, kind: str, member: Member, micros: int, *, mark: str = "") -> Wish:
        wish = Wish(kind, member, micros, mark or f"chaos {len(self.wishes)}")
        self.wishes.append(wish)
        return wish

    # --- HTTP ---------------------------------------------------------------------------------

    async def http(
        self, method: str, path: str, key: str, body: Any = None, *, at: int | None = None
    ) -> tuple[int, Any]:
        """Return status and JSON of one try; 0 where no answer came."""
        self._turns += 1
        url = self._house.urls[self._turns % 2 if at is None else at] + path
        status, content = await asyncio.to_thread(_ask, method, url, key, body)
        if status == 500:
            self.faults.append(f"500 of {method} {path}: {content[:300]!r}")
        with contextlib.suppress(ValueError):
            return status, json.loads(content) if content else {}
        return status, {}


def _ask(method: str, url: str, key: str, body: Any) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-API-KEY": key, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
    except OSError:
        return 0, b""
