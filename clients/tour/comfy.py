"""A ComfyUI, as a script without a browser sees it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

PATIENCE_SECONDS = 600
PAUSE_SECONDS = 0.5


class Refused(Exception):
    """It was not done; the message says why, in the words of who refused."""


def asked(url: str, body: object = None, headers: dict[str, str] | None = None) -> object:
    """Ask once; return the JSON of the answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **(headers or {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, told), timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        said = refusal.read().decode(errors="replace")
        raise Refused(f"{refusal.code}: {said}") from None


class Comfy:
    """The server at an address; its prompts carry a key, if one is given."""

    def __init__(self, address: str, key: str = "") -> None:
        self.address = address.rstrip("/")
        self._extra = {"api_key_comfy_org": key} if key else {}
        self.job = ""
        """What it calls the last workflow; newer versions say it to the platform, too."""

    def version(self) -> str:
        """Return which ComfyUI it is."""
        return asked(f"{self.address}/system_stats")["system"].get("comfyui_version", "unknown")

    def nodes(self) -> dict[str, dict]:
        """Return everything that it says of its nodes."""
        return asked(f"{self.address}/object_info")

    def platform(self) -> str:
        """Return which platform its page is told of, or nothing."""
        return asked(f"{self.address}/features").get("comfy_api_base_url", "")

    def upload(self, name: str, content: bytes, subfolder: str = "") -> str:
        """Put a file among its inputs; return what loaders call it."""
        edge = uuid.uuid4().hex
        fields = {"overwrite": "true", "type": "input", "subfolder": subfolder}
        begun = f"--{edge}\r\nContent-Disposition: form-data; name="
        head = "".join(f'{begun}"{each}"\r\n\r\n{said}\r\n' for each, said in fields.items())
        head += f'{begun}"image"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        kept = asked(f"{self.address}/upload/image", body, kind)
        return f"{kept['subfolder']}/{kept['name']}".lstrip("/")

    def file(self, kept: dict) -> bytes:
        """Return what it made."""
        query = urllib.parse.urlencode(kept)
        with urllib.request.urlopen(f"{self.address}/view?{query}", timeout=60) as answer:
            return answer.read()

    def forget(self) -> None:
        """Have it forget what it has answered before."""
        body = b'{"free_memory": true, "unload_models": true}'
        request = urllib.request.Request(
            f"{self.address}/free", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()

    def run(self, prompt: dict[str, dict]) -> dict:
        """Run a workflow to its end; return its outputs. Raises Refused with the node's words."""
        self.job = ""
        try:
            queued = asked(f"{self.address}/prompt", {"prompt": prompt, "extra_data": self._extra})
        except Refused as refusal:
            raise Refused(_invalid(f"{refusal}")) from None
        self.job = queued["prompt_id"]
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            history = asked(f"{self.address}/history/{queued['prompt_id']}")
            if found := history.get(queued["prompt_id"]):
                return _outputs(found)
            time.sleep(PAUSE_SECONDS)
        raise Refused(f"it did not end in {PATIENCE_SECONDS} seconds")


def _outputs(history: dict) -> dict:
    for name, facts in history["status"]["messages"]:
        if name == "execution_error":
            raise Refused(f"{facts['node_type']}: {facts['exception_message']}".strip())
    if history["status"]["status_str"] != "success":
        raise Refused("it did not succeed")
    return history["outputs"]


def _invalid(said: str) -> str:
    """Return what a workflow that was not taken lacks, one line."""
    try:
        told = json.loads(said.partition(": ")[2])
        reasons = [
            f"{node['class_type']}: {error['message']}: {error['details']}"
            for node in told["node_errors"].values()
            for error in node["errors"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return said
    return "; ".join(reasons) or told["error"]["message"]
