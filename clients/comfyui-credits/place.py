"""Which platform this ComfyUI uses, and the key that the machine has there.

    COMFYUI_CREDITS_URL, or the first line of base_url.txt in this folder     https://...
    COMFYUI_CREDITS_KEY, or the file that a pairing writes                    comfyui-...

The key file says for which platform its key is: another one never gets it.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
URL, KEY, FILE = "COMFYUI_CREDITS_URL", "COMFYUI_CREDITS_KEY", "COMFYUI_CREDITS_KEY_FILE"


class Unusable(Exception):
    """Nothing can be set; the message is the one line that says why."""


def base_url(folder: Path = HERE) -> str:
    """Return where the platform is, without a slash at the end; raise Unusable."""
    given = os.environ.get(URL, "").strip()
    if not given:
        with contextlib.suppress(OSError):
            given = next(iter((folder / "base_url.txt").read_text().split()), "")
    if not given:
        raise Unusable(f"it does not know its platform: set {URL}, or write it to base_url.txt.")
    base = given.rstrip("/")
    parts = urlsplit(base)
    if parts.scheme == "http":
        raise Unusable(
            f"{base} is http. A browser takes https alone here; at http it would silently turn to "
            "comfy.org, and send your key there. Nothing was set."
        )
    if parts.scheme != "https" or not parts.hostname or f"https://{parts.netloc}" != base:
        raise Unusable(f"{given!r} is not like https://credits.example.org. Nothing was set.")
    return base


def key_file() -> Path:
    """Return where a pairing keeps the key: in a folder that ComfyUI serves to nobody."""
    if named := os.environ.get(FILE):
        return Path(named)
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "comfyui-credits.json"


def key_for(base: str) -> str | None:
    """Return the machine's key at that platform, if it has one."""
    if given := os.environ.get(KEY, "").strip():
        return given
    kept = _kept()
    return kept["key"] if kept.get("base_url") == base and kept.get("key") else None


def account_for(base: str) -> str:
    """Return whose key that is, shortened, as far as it is known."""
    kept = _kept()
    return str(kept.get("account") or "") if kept.get("base_url") == base else ""


def keep(base: str, key: str, account: str) -> None:
    """Keep a key, readable by nobody else."""
    file = key_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as to:
        json.dump({"base_url": base, "key": key, "account": account}, to)
    os.replace(draft, file)


def forget() -> None:
    """Keep none any more."""
    with contextlib.suppress(FileNotFoundError):
        key_file().unlink()


def _kept() -> dict:
    try:
        found = json.loads(key_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
