"""What the custom node sets, sends and lets through, and what it refuses to."""

import json
import stat
import sys
from types import ModuleType, SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

BASE = "https://credits.example.org"
KEY = "comfyui-" + "0" * 64


# --- where the platform is ----------------------------------------------------------------------


@pytest.mark.parametrize("given", [BASE, f" {BASE}/ "])
def test_a_base_is_read_from_the_variable_or_the_file(node, key_file, tmp_path, monkeypatch, given):
    (tmp_path / "base_url.txt").write_text(f"{given}\n# a comment\n")
    assert node.place.base_url(tmp_path) == BASE

    monkeypatch.setenv("COMFYUI_CREDITS_URL", "https://other.example.org:8443")
    assert node.place.base_url(tmp_path) == "https://other.example.org:8443"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "set COMFYUI_CREDITS_URL"),
        ("http://credits.example.org", "is http"),
        ("http://127.0.0.1:8000", "would silently turn to comfy.org"),
        ("credits.example.org", "is not like"),
        ("https://", "is not like"),
        ("https://credits.example.org/api", "is not like"),
        ("https://credits.example.org?x=1", "is not like"),
        ("ftp://credits.example.org", "is not like"),
    ],
)
def test_what_cannot_be_a_base_is_one_clear_line(node, key_file, tmp_path, given, said):
    (tmp_path / "base_url.txt").write_text(given)

    with pytest.raises(node.place.Unusable, match=said) as refused:
        node.place.base_url(tmp_path)

    assert "\n" not in str(refused.value)


# --- the machine's key --------------------------------------------------------------------------


def test_a_kept_key_is_readable_by_nobody_else_and_for_one_platform(node, key_file):
    node.place.keep(BASE, KEY, "m…@e….org")

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert node.place.key_for(BASE) == KEY
    assert node.place.key_for("https://evil.example.org") is None
    node.place.forget()
    node.place.forget()
    assert node.place.key_for(BASE) is None


@pytest.mark.parametrize("content", ["", "[]", '"x"', "{", '{"base_url": 1}'])
def test_a_broken_key_file_is_no_key(node, key_file, content):
    key_file.parent.mkdir()
    key_file.write_text(content)

    assert node.place.key_for(BASE) is None


def test_a_prompt_without_a_credential_gets_the_machines(node, key_file):
    node.place.keep(BASE, KEY, "")

    assert node.add_key({}, BASE) == {"extra_data": {"api_key_comfy_org": KEY}}
    assert node.add_key({"extra_data": {"client_id": "x"}}, BASE)["extra_data"] == {
        "client_id": "x", "api_key_comfy_org": KEY,
    }  # fmt: skip


@pytest.mark.parametrize(
    "extra", [{"api_key_comfy_org": "theirs"}, {"auth_token_comfy_org": "a.b.c"}, None, []]
)
def test_a_prompt_with_a_credential_stays_as_it_is(node, key_file, extra):
    node.place.keep(BASE, KEY, "")

    assert node.add_key({"extra_data": extra}, BASE) == {"extra_data": extra}


# --- what ComfyUI is told -----------------------------------------------------------------------


class Server:
    """As much of ComfyUI's server as the node touches."""

    def __init__(self):
        self.app = web.Application()
        self.routes = web.RouteTableDef()
        self.handlers = []

    def add_on_prompt_handler(self, handler):
        self.handlers.append(handler)


@pytest.fixture
def comfy(monkeypatch):
    """The modules of a ComfyUI, as of 2026; without feature flags, as of before."""
    server = Server()

    def module(name, **content):
        made = ModuleType(name)
        vars(made).update(content)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    args = SimpleNamespace(comfy_api_base="https://api.comfy.org")
    module("comfy")
    module("comfy.cli_args", args=args)
    flags = module("comfy_api.feature_flags", SERVER_FEATURE_FLAGS={"assets": False})
    module("comfy_api", feature_flags=flags)
    module("server", PromptServer=SimpleNamespace(instance=server))
    return SimpleNamespace(server=server, args=args, flags=flags.SERVER_FEATURE_FLAGS)


def test_one_variable_sets_all_of_it(node, key_file, comfy, monkeypatch):
    monkeypatch.setenv("COMFYUI_CREDITS_URL", BASE)

    node.start()

    assert comfy.args.comfy_api_base == BASE
    assert comfy.flags == {
        "assets": False,
        "comfy_api_base_url": BASE, "comfy_cloud_base_url": BASE, "comfy_platform_base_url": BASE,
        "show_signin_button": True, "local_web_sso": True,
    }  # fmt: skip
    assert comfy.flags["local_web_sso"] is True, "the page takes no other true"
    node.place.keep(BASE, KEY, "")
    assert comfy.server.handlers[0]({}) == {"extra_data": {"api_key_comfy_org": KEY}}


def test_http_sets_nothing_and_says_why(node, key_file, comfy, monkeypatch, caplog):
    monkeypatch.setenv("COMFYUI_CREDITS_URL", "http://192.168.1.5:8000")

    node.start()

    assert comfy.args.comfy_api_base == "https://api.comfy.org"
    assert comfy.flags == {"assets": False}
    assert comfy.server.handlers == []
    (line,) = caplog.messages
    assert "192.168.1.5:8000 is http" in line


def test_two_platforms_at_once_are_none(node, key_file, comfy, monkeypatch, caplog):
    """Else a key of one would be sent to the other."""
    monkeypatch.setenv("COMFYUI_CREDITS_URL", BASE)
    comfy.args.comfy_api_base = "https://other.example.org"

    node.start()

    assert (comfy.flags, comfy.server.handlers) == ({"assets": False}, [])
    assert "one of the two is wrong" in caplog.text


def test_a_machine_with_a_key_lets_run_without_signing_in(node, key_file, comfy, monkeypatch):
    monkeypatch.setenv("COMFYUI_CREDITS_URL", BASE)
    monkeypatch.setenv("COMFYUI_CREDITS_KEY", KEY)

    node.start()

    assert comfy.flags["partner_run_gate_enabled"] is False


def test_an_old_comfyui_has_the_parts_that_it_can(node, key_file, comfy, monkeypatch, caplog):
    monkeypatch.setenv("COMFYUI_CREDITS_URL", BASE)
    monkeypatch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
    monkeypatch.delitem(sys.modules, "comfy_api.feature_flags")
    monkeypatch.setattr(node.metadata, "version", lambda _: "1.27.10")

    node.start()

    assert comfy.args.comfy_api_base == BASE
    assert len(comfy.server.handlers) == 1
    assert "too old" in caplog.text
    assert "type no key into its sign-in" in caplog.text


# --- the way back, and who may press what -------------------------------------------------------

CAME_BACK = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@web.middleware
async def no_other_site(request, handler):
    """As ComfyUI refuses what comes from other sites."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return web.Response(status=403)
    return await handler(request)


async def answer(request):
    return web.Response(text=request.query.get("code", ""))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/?code=c1&state=s", CAME_BACK, 200),
        ("/?error=access_denied&state=s", CAME_BACK, 200),
        ("/?code=c1", CAME_BACK, 403),
        ("/", CAME_BACK, 403),
        ("/prompt?code=c1&state=s", CAME_BACK, 403),
        ("/?code=c1&state=s", {**CAME_BACK, "Sec-Fetch-Dest": "iframe"}, 403),
        ("/?code=c1&state=s", {**CAME_BACK, "Sec-Fetch-Mode": "no-cors"}, 403),
        ("/?code=c1&state=s", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/", {}, 200),
    ],
)
async def test_only_the_way_back_from_signing_in_is_let_through(node, path, headers, status):
    app = web.Application(middlewares=[no_other_site])
    app.middlewares.insert(0, node.wayback.way_back)
    app.router.add_get("/{any:.*}", answer)

    async with TestClient(TestServer(app)) as client:
        got = await client.get(path, headers=headers)
        assert got.status == status
        if status == 200 and "code" in path:
            assert await got.text() == "c1"


async def test_by_another_method_nothing_is_let_through(node):
    app = web.Application(middlewares=[no_other_site])
    app.middlewares.insert(0, node.wayback.way_back)
    app.router.add_post("/", answer)

    async with TestClient(TestServer(app)) as client:
        assert (await client.post("/?code=c&state=s", headers=CAME_BACK)).status == 403


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        (JSON, True),
        ({**JSON, "Sec-Fetch-Site": "same-origin"}, True),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, False),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, False),
        ({**JSON, "Origin": "http://evil.example"}, False),
        ({**JSON, "Origin": "null"}, False),
        ({"Content-Type": "text/plain"}, False),
        ({"Content-Type": "application/x-www-form-urlencoded"}, False),
    ],
)
async def test_only_this_machines_own_page_acts(node, headers, may):
    done = []
    pairing = SimpleNamespace(
        shown=lambda: {"phase": "none"}, begin=lambda: done.append(1),
        confirm=lambda: done.append(1), give_up=lambda: done.append(1),
    )  # fmt: skip
    routes = web.RouteTableDef()
    node.routes.add(routes, pairing)
    app = web.Application()
    app.add_routes(routes)

    async with TestClient(TestServer(app)) as client:
        for name in ("begin", "confirm", "give-up"):
            got = await client.post(f"/comfyui-credits/{name}", data="{}", headers=headers)
            assert got.status == (200 if may else 403)
        page = await client.get("/comfyui-credits")
        assert "Credits of this machine" in await page.text()
        assert json.loads(await (await client.get("/comfyui-credits/state")).text()) == {
            "phase": "none"
        }
    assert len(done) == (3 if may else 0)
