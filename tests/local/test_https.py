"""`up --https`: a certificate that is trusted by who trusts its authority, and what has it."""

import argparse
import asyncio
import io
import ssl
import stat
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web

from local import certificates, https, tls, up
from local.processes import free_port

GO = web.AppKey("go", asyncio.Event)


def test_a_certificate_is_made_once_and_its_key_is_private(tmp_path):
    made = certificates.for_name(tmp_path, "studio.lan")
    first = made.chain.read_bytes()

    assert certificates.for_name(tmp_path, "studio.lan").chain.read_bytes() == first
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ca.pem", "cert.pem", "key.pem"], (
        "the authority's key is kept nowhere"
    )


def test_for_another_name_or_near_its_end_it_is_made_anew(tmp_path, monkeypatch):
    first = certificates.for_name(tmp_path, "localhost").chain.read_bytes()
    second = certificates.for_name(tmp_path, "studio.lan").chain.read_bytes()
    monkeypatch.setattr(certificates, "AT_LEAST", timedelta(days=400))
    third = certificates.for_name(tmp_path, "studio.lan").chain.read_bytes()

    assert len({first, second, third}) == 3


@pytest.mark.parametrize("broken", ["chain", "key", "authority"])
def test_a_part_that_is_missing_or_broken_is_made_anew(tmp_path, broken):
    made = certificates.for_name(tmp_path, "localhost")
    getattr(made, broken).unlink()
    if broken == "chain":
        made.chain.write_text("rubbish")

    certificates.for_name(tmp_path, "localhost")

    assert b"BEGIN" in getattr(made, broken).read_bytes()


async def echo(request):
    if request.path == "/slow":
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        await request.app[GO].wait()
        await answer.write(b"second")
        return answer
    if request.path == "/short":
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        request.transport.close()
        return answer
    said = {name: request.headers.getall(name) for name in set(request.headers)}
    body = {"method": request.method, "raw": request.raw_path, "said": said}
    answer = web.json_response({**body, "body": (await request.read()).decode()}, status=201)
    for each in ("a=1", "b=2"):
        answer.headers.add("Set-Cookie", each)
    return answer


@pytest.fixture
async def place(tmp_path):
    """Something that listens by http, TLS before it, and a client that trusts the authority."""
    made = certificates.for_name(tmp_path, "localhost")
    app = web.Application(client_max_size=1 << 24)
    app[GO] = asyncio.Event()
    app.router.add_route("*", "/{any:.*}", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    inner, outer = free_port(), free_port()
    await web.TCPSite(runner, "127.0.0.1", inner).start()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.chain, made.key)
    front = await tls.serve(
        host="127.0.0.1", port=outer, to=f"http://127.0.0.1:{inner}", context=context
    )
    trusting = ssl.create_default_context(cafile=made.authority)
    connector = aiohttp.TCPConnector(ssl=trusting)
    async with aiohttp.ClientSession(f"https://localhost:{outer}", connector=connector) as client:
        yield client, app, runner
    await front.cleanup()
    await runner.cleanup()


async def test_what_is_said_and_answered_goes_through_as_it_is(place):
    client, _, _ = place
    headers = {"X-API-KEY": "k", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}

    async with client.post(
        "/a%2Fb?x=%20y", data=io.BytesIO(b"z" * 3_000_000), headers=headers
    ) as got:
        said = await got.json()

    assert got.status == 201
    assert got.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert (said["method"], said["raw"], len(said["body"])) == ("POST", "/a%2Fb?x=%20y", 3_000_000)
    named = {name.lower(): value for name, value in said["said"].items()}
    assert named["x-api-key"] == ["k"]
    assert named["x-forwarded-for"] == ["127.0.0.1"], "what a stranger said of it is not believed"
    assert named["x-forwarded-proto"] == ["https"]
    assert named["x-forwarded-host"][0].startswith("localhost:")


async def test_an_answer_comes_through_while_it_is_made(place):
    client, app, _ = place

    async with client.get("/slow") as got:
        assert await got.content.readany() == b"first"
        app[GO].set()
        assert await got.content.read() == b"second"


async def test_half_an_answer_does_not_look_whole(place):
    client, _, _ = place

    with pytest.raises(aiohttp.ClientError):
        async with client.get("/short") as got:
            await got.read()


async def test_a_web_process_that_is_away_is_a_502(place):
    client, _, runner = place
    await runner.cleanup()

    async with client.get("/") as got:
        assert got.status == 502


def options(tmp_path, *words):
    return up.parse(["--data", str(tmp_path), *words])


def test_what_is_told_names_the_address_and_what_to_trust(tmp_path):
    asked = options(tmp_path, "--https", "studio.lan", "--https-port", "9443")
    told = "\n".join(https.lines(asked))

    assert "COMFYUI_CREDITS_URL=https://studio.lan:9443" in told
    assert str(tmp_path / "tls" / "ca.pem") in told
    assert https.settings(asked) == {
        "PUBLIC_URL": "https://studio.lan:9443", "TRUSTED_PROXIES": "127.0.0.1",
    }  # fmt: skip
    assert options(tmp_path).https is None
    assert options(tmp_path, "--https").https == "localhost"


@pytest.mark.parametrize(("name", "host"), [("localhost", "127.0.0.1"), ("studio.lan", "0.0.0.0")])
def test_only_for_a_name_of_the_network_others_are_listened_to(tmp_path, name, host):
    child = https.front(
        argparse.Namespace(data=tmp_path, https=name, https_port=9443), "http://127.0.0.1:1", {}
    )

    assert child.command[child.command.index("--host") + 1] == host


def test_a_port_in_use_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(up.processes, "port_is_free", lambda port: port != 9443)

    words = ["--https", "--https-port", "9443", "--data", str(tmp_path)]
    assert up.main(words) == 1

    assert "give --https-port" in capsys.readouterr().err
