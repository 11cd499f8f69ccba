"""The same over TLS, which is verified, and on the loop that production has."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from wire_vendor import OK, answers, outcome, post, relaying, sized, vendor_that, whole

from proxy.wire import dialing

pytestmark = pytest.mark.slow

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
STRAY = sized(b'{"for": "nobody"}')


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine on one of the two loops."""

    def run(work):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(work)

    return run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `localhost` that signs itself, and its key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, plain))
    return folder


@pytest.fixture
def tls(certificate):
    """What the vendor says that it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.fixture
def trusted(monkeypatch, certificate):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    dialing.verified.cache_clear()
    yield
    dialing.verified.cache_clear()


def test_a_vendor_that_is_not_who_it_says_is_refused(run, tls, trusted, monkeypatch):
    async def work():
        async with vendor_that(answers(sized(b"1")), tls) as vendor, relaying() as relay:
            assert await whole(relay, post(vendor.url)) == b"1"
            elsewhere = vendor.url.replace("localhost", "127.0.0.1")
            assert await outcome(relay, post(elsewhere)) == "refused", "another's certificate"
            assert vendor.requests == vendor.requests[:1]
            plain = vendor.url.replace("https", "http")
            assert await outcome(relay, post(plain)) == "lost"
        monkeypatch.delenv("SSL_CERT_FILE")
        dialing.verified.cache_clear()
        async with vendor_that(answers(sized(b"1")), tls) as vendor, relaying() as relay:
            assert await outcome(relay, post(vendor.url)) == "refused", "nobody vouches for it"
            assert vendor.requests == []

    run(work())


@pytest.mark.parametrize("protocol", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("secure", [True, False])
def test_a_connection_is_kept_and_a_stray_answer_is_not(run, tls, trusted, secure, protocol):
    version = getattr(ssl.TLSVersion, protocol)
    tls.minimum_version = tls.maximum_version = version

    async def work():
        async def behave(vendor, visit):
            for number in range(4):
                await visit.request()
                await visit.say(sized(b"%d" % number))
            await visit.request()
            await visit.say(sized(b"4") + STRAY)
            await visit.ended()

        async with vendor_that(behave, tls if secure else None) as vendor, relaying() as relay:
            for number in range(5):
                assert await whole(relay, post(vendor.url)) == b"%d" % number
            assert len(vendor.visits) == 1
            assert await whole(relay, post(vendor.url)) == b"0"
            assert len(vendor.visits) == 2

    run(work())


@pytest.mark.parametrize("secure", [True, False])
def test_a_stray_answer_behind_a_large_one_that_was_read_slowly(run, tls, trusted, secure):
    """Reading is paused when it ends; TLS has the rest in memory, where no kernel shows it."""
    body = bytes(3 << 20)

    async def work():
        async def behave(vendor, visit):
            while True:
                asked = await visit.request()
                await visit.say(sized(body if b"alice" in asked else b"bob's"), STRAY)

        async with vendor_that(behave, tls if secure else None) as vendor, relaying() as relay:
            for pause in (0, 0.02, 0.05):
                reply = await relay.exchange(post(vendor.url, b"alice"))
                await asyncio.sleep(pause)
                assert await reply.read() == body
                assert await whole(relay, post(vendor.url, b"bob")) == b"bob's"

    run(work())


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("pause", [0, 0.1])
def test_a_large_answer_that_ends_with_its_connection_is_whole(run, tls, trusted, secure, pause):
    body = bytes(range(256)) * 8_000
    message = OK + b"Connection: close\r\n\r\n" + body

    async def work():
        async with (
            vendor_that(answers(message, close=True), tls if secure else None) as vendor,
            relaying() as relay,
        ):
            for _ in range(2):
                reply = await relay.exchange(post(vendor.url))
                await asyncio.sleep(pause)
                parts = []
                async for chunk in reply.chunks():
                    parts.append(chunk)
                    await asyncio.sleep(0)
                assert b"".join(parts) == body

    run(work())


@pytest.mark.parametrize("protocol", ["TLSv1_2", "TLSv1_3"])
def test_an_end_that_tls_does_not_vouch_for_is_none(run, tls, trusted, protocol):
    """Whoever sits between can end a connection, but cannot say for the vendor that it is whole."""
    version = getattr(ssl.TLSVersion, protocol)
    tls.minimum_version = tls.maximum_version = version

    async def work():
        async def behave(vendor, visit):
            await visit.request()
            await visit.say(OK + b"Connection: close\r\n\r\n{}", pause=0.05)
            visit.reset()

        async with vendor_that(behave, tls) as vendor, relaying() as relay:
            assert await outcome(relay, post(vendor.url)) == "lost"

    run(work())


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_large_body_arrives_and_a_stuck_one_is_lost(run, tls, trusted, secure, streamed):
    body = bytes(range(256)) * 32_000

    async def work():
        async def parts():
            for at in range(0, len(body), 1 << 16):
                yield body[at : at + (1 << 16)]

        async def behave(vendor, visit):
            if visit.number:
                visit.writer.transport.pause_reading()
                await asyncio.sleep(9)
            await visit.say(sized((await visit.request()).partition(b"\r\n\r\n")[2][-9:]))
            await visit.ended()

        limits = {"length": len(body), "silence_seconds": 0.5}
        async with vendor_that(behave, tls if secure else None) as vendor:
            async with relaying() as relay:
                asked = post(vendor.url, parts() if streamed else body, **limits)
                assert await whole(relay, asked) == body[-9:]
            async with relaying() as relay:
                asked = post(vendor.url, parts() if streamed else body, **limits)
                assert await outcome(relay, asked) == "lost"

    run(work())


def test_a_silent_vendor_and_one_that_speaks_another_tongue(run, tls, trusted):
    async def work():
        async def silent(vendor, visit):
            await visit.ended()

        async with vendor_that(silent, tls) as vendor, relaying() as relay:
            assert await outcome(relay, post(vendor.url, silence_seconds=0.2)) == "lost"
        async with vendor_that(silent) as vendor, relaying() as relay:
            secure = vendor.url.replace("http", "https")
            assert await outcome(relay, post(secure, total_seconds=0.3)) == "refused"

    run(work())
