"""Prove that a ComfyUI runs a paid node through this platform: `python3 clients/prove.py ADDRESS`.

It asks the ComfyUI at ADDRESS (like http://127.0.0.1:8188) for one picture of Flux Pro Ultra, as a
script without a browser does, and waits for it. `--key comfyui-...` sends a key with the prompt;
without, the machine's own is used, if it has one (clients/comfyui-credits). Against a real platform
this costs what one such picture costs. The exit status is 0 if a picture came.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 180
NODE = "FluxProUltraImageNode"


def asked(url: str, body: object = None) -> dict:
    """Ask once; return the JSON of the answer."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict = json.load(answer)
        return found


def prompt(seed: int) -> dict:
    """Return a workflow of two nodes: the paid one, and one that keeps its picture."""
    paid = {
        "prompt": "a lighthouse on a cliff, evening light",
        "prompt_upsampling": False,
        "seed": seed,
        "aspect_ratio": "1:1",
        "raw": False,
    }
    return {
        "1": {"class_type": NODE, "inputs": paid},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "paid"}},
    }


def run(comfy: str, key: str) -> dict:
    """Have ComfyUI run it; return what its history says in the end."""
    extra = {"api_key_comfy_org": key} if key else {}
    seed = int(time.time() * 1000) % 10**9  # ComfyUI answers the same again from its cache.
    queued = asked(f"{comfy}/prompt", {"prompt": prompt(seed), "extra_data": extra})
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        history = asked(f"{comfy}/history/{queued['prompt_id']}")
        if queued["prompt_id"] in history:
            found: dict = history[queued["prompt_id"]]
            return found
        time.sleep(0.5)
    raise TimeoutError(f"nothing came in {PATIENCE_SECONDS} seconds")


def told(history: dict) -> tuple[bool, str]:
    """Return whether a picture came, and one line about it."""
    for name, facts in history["status"]["messages"]:
        if name == "execution_error":
            return False, str(facts["exception_message"]).strip()
    pictures = history["outputs"].get("2", {}).get("images", [])
    if history["status"]["status_str"] != "success" or not pictures:
        return False, "it ended without a picture"
    return True, pictures[0]["filename"]


def main() -> int:
    """Read the arguments, run, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("comfy", metavar="ADDRESS")
    parser.add_argument("--key", default="", help="sent with the prompt; else the machine's own")
    options = parser.parse_args()
    comfy = options.comfy.rstrip("/")
    try:
        version = asked(f"{comfy}/system_stats")["system"].get("comfyui_version", "unknown")
        good, line = told(run(comfy, options.key))
    except (OSError, ValueError, KeyError, TimeoutError) as why:
        detail = (
            why.read().decode(errors="replace") if isinstance(why, urllib.error.HTTPError) else ""
        )
        good, version, line = False, "unknown", f"{why} {detail}".strip()
    print(f"ComfyUI {version}: {'a picture came: ' if good else 'no picture: '}{line}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
