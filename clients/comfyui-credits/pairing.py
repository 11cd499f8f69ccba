"""Ask the platform for a key of this machine's own, with a code that a member types there.

    none -> waiting -> found -> approved -> (somebody confirms here) -> paired
               '---------'---------'------------------------------------> over

The platform is asked by https, every few seconds, from a thread. The sealed key is opened and kept
only when somebody at this machine has confirmed whose it is: else a stranger who overheard the code
could pay for it, and read in their history what is made here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import socket
import threading
import time
import urllib.error
import urllib.request

from . import box, place

EVERY_SECONDS = 3
PATIENCE_SECONDS = 15
LONGEST_SECONDS = 20 * 60
MOST_BYTES = 1 << 16
CONSONANTS, VOWELS = "bdfghjklmnprstvz", "aiou"


class Refused(Exception):
    """The platform said no; the message is its sentence."""


class Away(Exception):
    """The platform did not answer, or not now: it is asked again."""


def check_words(public_key: bytes, code: str) -> str:
    """Return what the member's page shows too, unless somebody stands between."""
    bits = hashlib.sha256(b"pairing\0" + public_key + code.encode()).digest()[:4]
    return "-".join(_word(int.from_bytes(bits[at : at + 2], "big")) for at in (0, 2))


def _word(number: int) -> str:
    return (
        CONSONANTS[number >> 12]
        + VOWELS[number >> 10 & 3]
        + CONSONANTS[number >> 6 & 15]
        + VOWELS[number >> 4 & 3]
        + CONSONANTS[number & 15]
    )


def asked(method: str, url: str, *, secret: str = "", body: object = None) -> dict:
    """Ask the platform once; raise Refused or Away."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Accept": "application/json", "User-Agent": "comfyui-credits"}
    if data is not None:
        headers["Content-Type"] = "application/json"
    if secret:
        headers["X-Pairing-Secret"] = secret
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            said = answer.read(MOST_BYTES)
        return json.loads(said) if said else {}
    except urllib.error.HTTPError as error:
        sentence = _sentence(error)
        if error.code == 429 or error.code >= 500:
            raise Away(sentence) from None
        raise Refused(sentence) from None
    except (OSError, ValueError) as error:
        raise Away(f"{url} cannot be asked: {error}") from None


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(MOST_BYTES))["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"the platform answered {error.code}"


class Pairing:
    """The pairing of this machine: at most one at a time, and what may be shown of it."""

    def __init__(self, base: str, *, say=print, paired=lambda: None) -> None:
        self.base = base
        self._say, self._paired = say, paired
        self._lock = threading.RLock()
        self._number = 0
        self._secret_key = b""
        self._poll_secret = self._id = self._box = ""
        has_key = place.key_for(base) is not None
        self._shown = {"phase": "paired" if has_key else "none"}
        if has_key:
            self._shown["account"] = place.account_for(base)

    def shown(self) -> dict:
        """Return what may be shown to whoever sees this ComfyUI: no secret is in it.

        Waits for nobody who asks the platform at this moment: ComfyUI's one loop asks this.
        """
        return {"platform": self.base, **self._shown}

    def begin(self) -> None:
        """Have a code to show; raise Refused or Away. One that is shown already stays."""
        with self._lock:
            if self._shown["phase"] in ("waiting", "found", "approved"):
                return
            if place.key_for(self.base) is not None:
                raise Refused("This machine has its key. To pair it again, remove that first.")
            self._secret_key, public_key = box.make_keys()
            self._poll_secret = secrets.token_urlsafe(32)
            digest = hashlib.sha256(self._poll_secret.encode()).hexdigest()
            said = asked(
                "POST",
                f"{self.base}/v1/pairings",
                body={
                    "machine": socket.gethostname(),
                    "public_key": base64.b64encode(public_key).decode(),
                    "secret_digest": digest,
                },
            )
            self._id, code = said["id"], said["code"]
            self._number += 1
            words = check_words(public_key, code)
            where = said.get("pair_url") or f"{self.base}/pair"
            self._shown = {"phase": "waiting", "code": code, "words": words, "where": where}
            self._say(f"to pair this machine, type {code} at {where}; the check words are {words}")
            threading.Thread(target=self._follow, args=(self._number,), daemon=True).start()

    def confirm(self) -> None:
        """Take the key that was approved; raise Refused or Away."""
        with self._lock:
            if self._shown["phase"] != "approved":
                raise Refused("There is nothing to confirm.")
            account = self._shown["account"]
            try:
                key = box.unsealed(base64.b64decode(self._box), self._secret_key).decode()
            except (box.NotForUs, ValueError):
                self.give_up()
                raise Refused("What came cannot be opened. Somebody may stand between.") from None
            place.keep(self.base, key, account)
            try:
                self._taken()
            except Refused:
                place.forget()
                self._over("The platform has given the key up. Pair again.")
                raise
            self._secret_key = b""
            self._shown = {"phase": "paired", "account": account}
        self._say(f"paired: this machine spends the credits of {account}")
        self._paired()

    def give_up(self) -> None:
        """Want no key, or not that one; the platform revokes it, now or in a few minutes."""
        with self._lock:
            if self._shown["phase"] not in ("waiting", "found", "approved"):
                return
            self._over("Not paired.")
            try:
                asked("DELETE", self._where(), secret=self._poll_secret)
            except (Refused, Away) as why:
                self._say(f"the platform was not told: {why}")

    def _taken(self) -> None:
        """Tell the platform that the key is here: else it is revoked. Several times, if needed."""
        for left in (2, 1, 0):
            try:
                asked("POST", f"{self._where()}/taken", secret=self._poll_secret, body={})
            except Away:
                if not left:
                    place.forget()
                    raise
                time.sleep(1)
            else:
                return

    def _follow(self, number: int) -> None:
        """Ask how it stands until it is approved or over."""
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end:
            time.sleep(EVERY_SECONDS)
            with self._lock:
                if number != self._number or self._shown["phase"] not in ("waiting", "found"):
                    return
            try:
                said = asked("GET", self._where(), secret=self._poll_secret)
            except Away:
                continue
            except Refused as why:
                said = {"state": str(why)}
            with self._lock:
                if number == self._number and self._shown["phase"] in ("waiting", "found"):
                    self._see(said)
        with self._lock:
            if number == self._number and self._shown["phase"] in ("waiting", "found"):
                self._over("The code is over. Pair again.")

    def _see(self, said: dict) -> None:
        state = said.get("state")
        if state in ("waiting", "found"):
            self._shown["phase"] = state
        elif state == "approved" and said.get("box"):
            self._box = said["box"]
            self._shown |= {"phase": "approved", "account": str(said.get("account") or "")}
            self._say(f"{self._shown['account']} approved: confirm it on this machine's page")
        else:
            words = {"expired": "The code is over.", "refused": "The member said no."}
            self._over(words.get(str(state), "The platform knows this pairing no more."))

    def _over(self, why: str) -> None:
        self._secret_key, self._box = b"", ""
        self._shown = {"phase": "over", "why": why}

    def _where(self) -> str:
        return f"{self.base}/v1/pairings/{self._id}"
