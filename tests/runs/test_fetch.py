"""Fetching a file for a run, from honest servers and from others."""

import asyncio
import errno
import gzip
import hashlib
import json
import os
import resource
import socket
import time

import pytest
from hostile import Server, answer, endless, raw, silent

from common.outside import guard
from runs.fetching import fetch as fetching
from runs.fetching import targets
from runs.fetching.cache import Cache, Note
from runs.fetching.fetch import Bounds, FetchFailed, NoRoom

OK = b"HTTP/1.1 200 OK\r\n"
SMALL = Bounds(
    most_bytes=100_000, whole_seconds=20, silence_seconds=10, grace_seconds=10, spare_bytes=0
)


class Stage:
    """A cache, a folder of a run, and servers that the operator allows."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        self.cache = Cache(folder / "cache", most_bytes=250_000)
        (folder / "run").mkdir()

    def allow(self, *servers):
        self.settings.OUTSIDE_ORIGINS = [each.origin for each in servers]

    async def fetch(self, url, *, to="/input/a.png", name="a.png", bounds=SMALL, look_up=None):
        (wanted,) = targets.read({to: url})
        self.into = self.folder / "run" / name
        return await fetching.fetch(
            wanted, into=self.into, cache=self.cache, bounds=bounds, look_up=look_up
        )

    def left(self):
        """Every file that is there."""
        return sorted(each for each in self.folder.rglob("*") if each.is_file())


@pytest.fixture
def stage(tmp_path, settings):
    return Stage(tmp_path, settings)


async def refused(stage, script, *, match, url="/a", bounds=SMALL, of=FetchFailed):
    """Ask a server that does so; nothing is left. Return the sentence."""
    with Server(script) as server:
        stage.allow(server)
        with pytest.raises(of, match=match) as why:
            await stage.fetch(server.origin + url, bounds=bounds)
    assert stage.left() == []
    assert "127.0.0.1" not in str(why.value)
    return str(why.value)


async def test_a_file_is_fetched_whole_and_lies_at_the_runs_own_place(stage):
    body = os.urandom(70_000)
    with Server(answer(body)) as server:
        stage.allow(server)

        fetched = await stage.fetch(f"{server.origin}/pictures/a.png?x=%20y")

    assert stage.into.read_bytes() == body
    assert (fetched.sha256, fetched.size) == (hashlib.sha256(body).hexdigest(), 70_000)
    (asked,) = server.asked
    assert asked.line == "GET /pictures/a.png?x=%20y HTTP/1.1"


async def test_nothing_of_ours_goes_along(stage, monkeypatch, tmp_path):
    """No credential, cookie or proxy, whatever stands in the environment."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    for name, value in {
        "http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
        "all_proxy": "http://127.0.0.1:1", "NETRC": str(tmp_path / "netrc"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    steps = {
        "/a": answer(status="302 Found", Location="/b", Set_Cookie="a=b; Path=/"),
        "/b": answer(b"x"),
    }
    with Server(lambda sock, asked: steps[asked.line.split()[1]](sock, asked)) as server:
        stage.allow(server)
        await stage.fetch(f"{server.origin}/a")

    assert len(server.asked) == 2
    for asked in server.asked:
        named = {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert set(asked.headers) == named
        assert asked.headers["accept-encoding"] == "identity"


async def test_a_file_that_is_known_is_not_fetched_again(stage):
    def script(sock, asked):
        known = asked.headers.get("if-none-match") == '"1"'
        (answer(status="304 Not Modified") if known else answer(b"body", ETag='"1"'))(sock, asked)

    with Server(script) as server:
        stage.allow(server)
        first = await stage.fetch(f"{server.origin}/a")
        second = await stage.fetch(f"{server.origin}/a", name="b.png")

    assert (first.from_cache, second.from_cache) == (False, True)
    assert stage.into.read_bytes() == b"body"


async def test_a_file_that_changed_is_fetched_anew_and_the_first_run_keeps_its_own(stage):
    bodies = iter([b"one", b"two"])
    with Server(lambda sock, asked: answer(next(bodies), ETag='"x"')(sock, asked)) as server:
        stage.allow(server)
        await stage.fetch(f"{server.origin}/a", name="one")
        await stage.fetch(f"{server.origin}/a", name="two")

    assert (stage.folder / "run" / "one").read_bytes() == b"one"
    assert (stage.folder / "run" / "two").read_bytes() == b"two"


async def test_what_the_server_says_is_unchanged_though_we_never_had_it_is_refused(stage):
    await refused(stage, answer(status="304 Not Modified"), match="answered 304")


# --- Where it leads ---------------------------------------------------------------------------

ELSEWHERE = [
    "https://127.0.0.1/", "https://169.254.169.254/latest/meta-data/", "https://[::1]/",
    "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://2130706433/",
    "https://0x7f.1/", "https://0177.0.0.1/", "https://[2002:7f00:1::]/", "https://[2001:0:1::]/",
    "http://example.org/", "http://127.0.0.1:1/", "https://user:pw@example.org/",
    "https://example.org:8443/", "file:///etc/passwd", "gopher://127.0.0.1/", "//127.0.0.1/",
    "\\\\127.0.0.1\\", "https://example.org\\@127.0.0.1/", "https://[::1", "",
]  # fmt: skip


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temp", "308 Perm"])
async def test_a_redirect_to_what_is_not_asked_is_refused(stage, place, status):
    with Server(answer(status=status, Location=place)) as server:
        stage.allow(server)
        with pytest.raises(FetchFailed):
            await stage.fetch(server.origin + "/a")
    assert stage.left() == []
    assert len(server.asked) <= 4  # One that stays on the server is followed so often.


async def test_a_redirect_to_a_name_that_leads_inside_is_refused(stage):
    async def names(host, port):
        return {"127.0.0.1": ["127.0.0.1"], "evil.example": ["93.184.216.34", "10.0.0.1"]}[host]

    with Server(answer(status="302 Found", Location="https://evil.example/")) as server:
        stage.allow(server)
        with pytest.raises(FetchFailed, match="public internet"):
            await stage.fetch(f"{server.origin}/a", look_up=names)


async def test_redirects_have_an_end(stage):
    def script(sock, asked):
        n = int(asked.line.split()[1].strip("/") or 0)
        answer(status="302 Found", Location=f"/{n + 1}")(sock, asked)

    with Server(script) as server:
        stage.allow(server)
        with pytest.raises(FetchFailed, match="more than 3 times"):
            await stage.fetch(f"{server.origin}/0")

    assert len(server.asked) == 4


@pytest.mark.parametrize("places", [[], ["/a", "/b"]])
async def test_a_redirect_to_nowhere_or_to_two_places_is_refused(stage, places):
    head = b"".join(b"Location: %s\r\n" % each.encode() for each in places)
    script = raw(b"HTTP/1.1 302 Found\r\n" + head + b"Content-Length: 0\r\n\r\n")

    await refused(stage, script, match="nowhere")


async def test_what_a_name_leads_to_is_where_the_connection_goes(stage, settings):
    """The name exists nowhere but in the one answer; the second one would lead elsewhere."""
    answers = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]

    async def names(host, port):
        assert host == "files.test"
        return answers.pop(0)

    with Server(answer(b"x")) as server:
        port = server.server_address[1]
        settings.OUTSIDE_ORIGINS = [f"http://files.test:{port}"]
        await stage.fetch(f"http://files.test:{port}/a", look_up=names)

    assert len(answers) == 2
    assert server.asked[0].headers["host"] == f"files.test:{port}"


async def test_a_name_that_turns_inside_between_two_requests_is_refused_then(stage, monkeypatch):
    """Each redirect is looked up anew: what was public a moment ago need not be now."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    redirect = {"Location": "https://turning.example/b"}

    async def names(host, port):
        return answers.pop(0)

    class Redirects:
        status = 302

        class headers:  # noqa: N801
            getall = staticmethod(lambda name, default: [redirect["Location"]])

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

    asked = []
    monkeypatch.setattr(
        fetching.dialing, "asking",
        lambda method, target, addresses, **_: asked.append(addresses) or Redirects(),
    )  # fmt: skip
    with pytest.raises(FetchFailed, match="public internet"):
        await stage.fetch("https://turning.example/a", look_up=names)

    assert asked == [["93.184.216.34"]]


# --- Hostile servers ---------------------------------------------------------------------------


async def test_an_endless_body_ends_at_the_bound(stage):
    await refused(stage, endless(OK + b"\r\n", b"x" * 65536), match="larger than 100,000 bytes")


async def test_an_endless_body_in_chunks_ends_there_too(stage):
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    part = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"

    await refused(stage, endless(head, part), match="larger than 100,000 bytes")


async def test_a_body_that_is_announced_too_large_is_not_even_begun(stage):
    head = OK + b"Content-Length: 100001\r\n\r\n"

    await refused(stage, endless(head, b"", pause=0.2, most=1), match="larger than 100,000 bytes")


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 50\r\n\r\n" + b"x" * 49, b"Content-Length: 99999\r\n\r\nx",
     b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
     b"Transfer-Encoding: chunked\r\n\r\nff\r\nab\r\n",
     b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", b"Content-Length: -5\r\n\r\nabcde",
     b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"Content-Length: x\r\n\r\nab"],
)  # fmt: skip
async def test_a_length_that_is_a_lie_is_refused(stage, head):
    await refused(stage, raw(OK + head), match="did not send it whole|could not be reached")


async def test_what_comes_behind_the_announced_length_is_no_part_of_it(stage):
    with Server(raw(OK + b"Content-Length: 3\r\n\r\nabcdef")) as server:
        stage.allow(server)
        try:
            await stage.fetch(server.origin + "/a")
        except FetchFailed:
            assert stage.left() == []  # So it is where all came at once.
        else:
            assert stage.into.read_bytes() == b"abc"


async def test_a_slow_body_is_left_once_it_had_a_while(stage):
    """A byte now and then is always something, and never a file."""
    slow = endless(OK + b"Content-Length: 90000\r\n\r\n", b"x", pause=0.05)
    bounds = Bounds(most_bytes=100_000, grace_seconds=0.5, spare_bytes=0)
    begun = time.monotonic()

    await refused(stage, slow, match="too slow", bounds=bounds)

    assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "script",
    [silent(), raw(OK, pause=30), raw(OK + b"Content-Length: 9\r\n\r\nabc", pause=30)],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_server_that_falls_silent_is_left(stage, script):
    bounds = Bounds(most_bytes=100_000, silence_seconds=0.3, spare_bytes=0)

    await refused(stage, script, match="too slow", bounds=bounds)


@pytest.mark.parametrize(
    "script",
    [endless(OK, b"X-A: b\r\n", pause=0.01), endless(OK + b"\r\n", b"x" * 20, pause=0.01)],
    ids=["a head without end", "a body that is never slow enough"],
)
async def test_the_whole_has_an_end_whatever_comes(stage, script):
    bounds = Bounds(
        most_bytes=1 << 30, whole_seconds=0.7, silence_seconds=5, bytes_per_second=1, spare_bytes=0
    )

    await refused(stage, script, match="too slow|whole|reached", bounds=bounds)


@pytest.mark.parametrize(
    "script",
    [raw(b"\r\n\r\n"), raw(b"HTTP/9.9 200 OK\r\n\r\n"), raw(b"SSH-2.0-OpenSSH_9.6\r\n"), raw(b""),
     raw(b"+OK redis\r\n\r\n"), raw(b"\x15\x03\x01\0\x02\x02\x16\r\n\r\n"),
     raw(OK + b"X: " + b"y" * 20_000 + b"\r\n\r\n"), raw(b"HTTP/1.1 " + b"2" * 9000 + b"\r\n\r\n"),
     raw(OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc")],
)  # fmt: skip
async def test_what_is_no_answer_is_refused(stage, script):
    await refused(stage, script, match="could not be reached|did not send it whole|too slow")


@pytest.mark.parametrize(
    "status",
    ["201 Created", "204 No Content", "206 Partial", "300 Choices", "304 Same", "401 Who", "403 No",
     "404 Gone", "410 Gone", "429 Slow", "500 Oops", "503 Later", "999 What"],
)  # fmt: skip
async def test_only_a_whole_answer_counts(stage, status):
    body = b"" if status[:3] in ("204", "304") else b"not the file"

    await refused(stage, answer(body, status=status), match=f"answered {status[:3]}")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x"])
async def test_a_compressed_answer_is_not_unpacked(stage, coding):
    """A thousand bytes that would be a million stay a thousand, and are refused."""
    bomb = gzip.compress(bytes(1_000_000))

    await refused(stage, answer(bomb, Content_Encoding=coding), match="compressed")


async def test_a_server_that_is_not_there_is_told_so(stage, settings):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        settings.OUTSIDE_ORIGINS = [url]
        with pytest.raises(FetchFailed, match="could not be reached"):
            await stage.fetch(url + "/a")


async def test_who_stops_waiting_leaves_nothing(stage):
    with Server(endless(OK + b"Content-Length: 90000\r\n\r\n", b"x" * 50, pause=0.02)) as server:
        stage.allow(server)
        task = asyncio.create_task(stage.fetch(server.origin + "/a"))
        async with asyncio.timeout(20):
            while not list((stage.folder / "cache").glob("incoming/*")):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert stage.left() == []


# --- Disk --------------------------------------------------------------------------------------


async def test_a_disk_that_is_full_in_the_middle_is_ours_to_mend(stage):
    """The kernel itself refuses the write, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Server(answer(os.urandom(90_000))) as server:
        stage.allow(server)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            with pytest.raises(NoRoom) as why:
                await stage.fetch(server.origin + "/a")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert why.value.__cause__.errno == errno.EFBIG
    assert stage.left() == []


async def test_a_disk_that_is_almost_full_takes_nothing_more(stage):
    bounds = Bounds(most_bytes=100_000, spare_bytes=1 << 62)

    await refused(stage, answer(b"x"), match="no room", bounds=bounds, of=NoRoom)


async def test_the_cache_never_holds_more_than_its_bound_and_runs_keep_theirs(stage):
    """What was used last stays; a run's own link stays whatever becomes of the cache."""
    with Server(lambda s, asked: answer(asked.line.encode().ljust(90_000))(s, asked)) as server:
        stage.allow(server)
        for n in range(5):
            await stage.fetch(f"{server.origin}/{n}", name=str(n))
            os.utime(stage.into, (1_000 + n, 1_000 + n))  # The link is the blob: when it was used.
            blobs = list((stage.folder / "cache" / "blobs").glob("*/*"))
            assert sum(each.stat().st_size for each in blobs) <= 250_000

    kept = {each.read_bytes().split()[1] for each in blobs}
    assert kept == {b"/3", b"/4"}
    assert all((stage.folder / "run" / str(n)).stat().st_size == 90_000 for n in range(5))


def test_what_dead_processes_left_is_taken_away_and_what_is_coming_is_not(stage):
    cache = stage.cache
    with cache.incoming() as (path, file):
        file.write(b"still coming")
        left = path.with_name("left")
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
        cache.note("https://example.org/gone", Note("0" * 64, '"x"', ""))

        cache.tidy()

        assert path.exists()
        assert not left.exists()
    assert cache.noted("https://example.org/gone") is None
    assert list((stage.folder / "cache" / "notes").iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"sha256": "../../x", "etag": "", "x": 1}',
     b'{"sha256": "../../etc", "etag": "x", "last_modified": ""}'],
)  # fmt: skip
def test_a_broken_note_says_nothing(stage, text):
    cache, url = stage.cache, "https://example.org/"
    cache.note(url, Note("0" * 64, '"x"', ""))
    (note,) = (stage.folder / "cache" / "notes").iterdir()
    note.write_bytes(text)

    assert cache.noted(url) is None


# --- Models ------------------------------------------------------------------------------------


def weights(table=None, room=16, claimed=None):
    text = json.dumps(table or {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
    length = len(text) if claimed is None else claimed
    return length.to_bytes(8, "little") + text.encode() + bytes(room)


async def fetch_model(stage, settings, body):
    settings.RUN_MODEL_FOLDERS = ["loras"]
    with Server(answer(body)) as server:
        stage.allow(server)
        return await stage.fetch(server.origin + "/m", to="/models/loras/m.safetensors", name="m")


async def test_a_model_of_numbers_alone_is_taken(stage, settings):
    body = weights()

    await fetch_model(stage, settings, body)

    assert stage.into.read_bytes() == body


@pytest.mark.parametrize(
    "body",
    [b"", b"PK\x03\x04" + bytes(100), b"\x80\x04\x95" + bytes(100), b"x" * 100, weights(room=15),
     weights(room=17), weights(claimed=5), weights(claimed=1 << 60), weights(claimed=10**6),
     weights({"a": {"data_offsets": [0, -1]}}), weights({"a": {"data_offsets": [9, 3]}}),
     weights({"a": {"data_offsets": "xy"}}), weights({"a": 1}), weights([1]),
     weights({"a": {"data_offsets": [0, True]}}, room=1),
     (60_000).to_bytes(8, "little") + b"[" * 60_000 + bytes(16)],
)  # fmt: skip
async def test_what_could_hold_a_program_is_no_model(stage, settings, body):
    with pytest.raises(FetchFailed, match="safetensors"):
        await fetch_model(stage, settings, body)

    assert not stage.into.exists()


def test_an_address_inside_is_refused_before_anything_is_fetched():
    with pytest.raises(guard.NotAllowed):
        guard.read("https://metadata.google.internal:80/")
