"""A platform by https, and what serves ComfyUI's page: a stand-in, or the ComfyUI that is named."""

from __future__ import annotations

import importlib.util
import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from stock_comfy import StockComfy, serving
from system_stack import BY, IMAGE, Stack

from local import certificates, frontend
from local.processes import free_port
from sandbox.stripe.desk import Settings
from sandbox.stripe.remote import stripe_in_thread

NODE = Path(__file__).resolve().parents[2] / "clients" / "comfyui-credits" / "__init__.py"
PASSWORD = "four plain words of mine"
collect_ignore = [] if os.environ.get("COMFYUI_FOLDER") else ["test_real_comfy.py"]


@dataclass
class Connected:
    """A page, the platform that it was told of, and who signs in there."""

    comfy: str
    platform: str
    member: dict[str, str]
    checkouts: tuple[str, ...]
    prompts: list[dict[str, Any]] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def connected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connected]:
    if address := os.environ.get("COMFYUI_ADDRESS"):
        yield _named(address)
        return
    page = frontend.PAGE
    if frontend.ASIDE.find() is None:
        why = os.environ.get("FRONTEND_MISSING", "run these tests by dev.py test.")
        pytest.skip(f"ComfyUI's page is not installed in {frontend.PLACE.name}: {why}")
    yield from _made(tmp_path_factory.mktemp("connect"), page)


def _named(address: str) -> Connected:
    """Return a real ComfyUI, pointed at a `dev.py up --https`."""
    with urlopen(f"{address}/features", timeout=10) as answer:
        features = json.load(answer)
    assert features["local_web_sso"] is True
    bases = {features[f"comfy_{each}_base_url"] for each in ("api", "cloud", "platform")}
    assert len(bases) == 1
    member = json.loads(Path(os.environ["COMFYUI_MEMBER"]).read_text())
    return Connected(
        address, bases.pop(), member, ("http://127.0.0.1", "https://checkout.stripe.com")
    )


def _made(folder: Path, page: Path) -> Iterator[Connected]:
    """Start a platform that is reached by https, and serve the page, pointed at it."""
    with by_https(folder) as (stack, base, made, stripe):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(made.chain, made.key)
        comfy = StockComfy(page, node().features(base, has_key=False))
        with serving(comfy, port=free_port(), context=context):
            yield Connected(
                comfy.address, base, member_of(stack), (stripe,), comfy.prompts, comfy.surprises
            )


@contextmanager
def by_https(
    folder: Path, name: str = "localhost"
) -> Iterator[tuple[Stack, str, certificates.Certificate, str]]:
    """Start a platform of that name; return it, its address, its certificate, and where Stripe is.

    It is reached from this machine alone, unless it has a name that others know.
    """
    is_known = name != "localhost"
    stack, https = Stack(folder, results_at=name if is_known else ""), free_port()
    host = "0.0.0.0" if is_known else "127.0.0.1"
    base = f"https://{name}:{https}"
    made = certificates.for_name(folder / "tls", name)
    with stripe_in_thread(Settings()) as stripe, ExitStack() as ends:
        ends.callback(stack.stop)
        stack.start()
        stack.environment |= {
            "PUBLIC_URL": base,
            "ALLOWED_HOSTS": f"{name},localhost,127.0.0.1",
            "TRUSTED_PROXIES": "127.0.0.1",
            "STRIPE_API_KEY": "sk_test_browser",
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_WEBHOOK_SECRETS": "whsec_browser",
        }
        stack.start_web()
        words = ["--host", host, "--port", f"{https}", "--to", stack.url]
        words += ["--cert", f"{made.chain}", "--key", f"{made.key}"]
        tls = stack._spawn("tls", ["-m", "local.tls", *words])
        ends.callback(tls.wait, 10)
        ends.callback(tls.terminate)
        stack.await_port("tls", https)
        yield stack, base, made, stripe.url


def member_of(stack: Stack) -> dict[str, str]:
    """Make somebody who can sign in both ways, and has made a call."""
    words = ["--credits", "23.50", *BY, "--password", PASSWORD, "--verified", "--key", "laptop"]
    told = stack.manage("member", "add", "ada@example.org", *words, "--json")
    member = {**json.loads(told), "email": "ada@example.org", "password": PASSWORD}
    asked = json.dumps({"prompt": "a fox", "width": 8, "height": 8}).encode()
    head = {"X-API-KEY": member["api_key"], "Content-Type": "application/json"}
    urlopen(Request(stack.url + IMAGE, asked, head), timeout=20).close()
    return member


def node() -> Any:
    """Return the custom node, which says what the page must know."""
    name = "comfyui_credits_of_the_page"
    spec = importlib.util.spec_from_file_location(name, NODE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
