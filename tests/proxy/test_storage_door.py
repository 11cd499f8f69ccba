"""Files by signed addresses: whole or not at all, one content for good, within quota and time."""

import asyncio
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from proxy_stage import in_thread

from uploads import places, signing
from uploads.models import Storage, Upload

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


async def offered(stage, member, **asked):
    answer = await stage.post("/customers/storage", member, json={"file_name": "a.png", **asked})
    assert answer.status == 200, answer.body
    return answer.json()


async def put(stage, made, content, **headers):
    return await stage.ask("PUT", made["upload_url"], data=content, headers=headers)


def on_disk(settings):
    return [path for path in settings.DATA_DIR.rglob("*") if path.is_file()]


def used(member):
    def read():
        row = Storage.objects.get(pk=member.workspace)
        return row.used_bytes, row.places

    return in_thread(read)


async def test_a_file_is_put_and_fetched_without_any_credential(stage):
    made = await offered(stage, await stage.member(0), content_type="image/png")

    assert made["existing_file"] is False
    assert urlsplit(made["download_url"]).path.endswith("/a.png")
    assert (await put(stage, made, PNG, **{"Content-Type": "image/png"})).status == 200

    answer = await stage.get(made["download_url"])
    assert (answer.status, answer.body) == (200, PNG)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == "inline"


async def test_a_place_needs_a_key_and_a_name(stage):
    member = await stage.member(0)

    assert (await stage.post("/customers/storage", json={"file_name": "a.png"})).status == 401
    for wrong in ({}, {"file_name": ""}, {"file_name": 7, "content_type": "x"},
                  {"file_name": "a", "content_type": "text/html\r\nx: y"}):  # fmt: skip
        answer = await stage.post("/customers/storage", member, json=wrong)
        assert (answer.status, answer.type) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("name", "kept", "kind"),
    [
        ("clip.MP4", "clip.MP4", "video/mp4"),
        ("../../etc/pass wd.wav", "pass_wd.wav", "audio/wav"),
        ("..\\..", "file", "application/octet-stream"),
        ("x" * 300, "x" * 100, "application/octet-stream"),
        ("page.html", "page.html", "application/octet-stream"),
    ],
)
async def test_a_name_is_made_safe_and_tells_the_type_that_nobody_said(stage, name, kept, kind):
    made = await offered(stage, await stage.member(0), file_name=name)
    await put(stage, made, PNG)

    answer = await stage.get(made["download_url"])
    assert urlsplit(made["download_url"]).path.rpartition("/")[2] == kept
    assert answer.headers["content-type"] == kind


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml"])
async def test_what_a_browser_would_run_is_only_saved(stage, kind):
    made = await offered(stage, await stage.member(0), content_type=kind)
    await put(stage, made, b"<script>alert(1)</script>")

    answer = await stage.get(made["download_url"])
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_an_address_is_good_for_one_thing_one_file_and_its_time(stage):
    one, other = [await offered(stage, await stage.member(0)) for _ in range(2)]
    for made in (one, other):
        await put(stage, made, PNG)
    up, down = one["upload_url"], one["download_url"]
    query = down.partition("?")[2]

    wrong = [
        other["download_url"].partition("?")[0] + "?" + query,
        down.partition("?")[0] + "?" + up.partition("?")[2],
        down.partition("?")[0],
        down.replace("a.png", "b.png"),
        re.sub(r"expires=\d+", "expires=99999999999", down),
        re.sub(r"expires=\d+", "expires=x", down),
        down + "x",
    ]
    for address in wrong:
        assert (await stage.get(address)).status == 404, address
    assert (await stage.ask("PUT", down, data=b"x")).status == 404
    assert (await stage.get(up)).status == 404
    in_past = "UPDATE uploads_upload SET created_at = now() - interval '2 days', expires_at = now()"
    stage.do(in_past)
    assert (await stage.get(down)).status == 404
    assert (await stage.ask("PUT", other["upload_url"], data=PNG)).status == 404


def test_a_signature_holds_until_its_time_is_over():
    def holds(until):
        query = parse_qs(urlsplit(signing.path("get", IDENTIFIER, "a.png", until)).query)
        told = {name: value for name, (value,) in query.items()}
        return signing.holds("get", IDENTIFIER, "a.png", told)

    now = int(time.time())
    assert (holds(now + 60), holds(now - 1)) == (True, False)


IDENTIFIER = "01a21e91-6c95-7090-adc6-2bec102ac4ec"


async def test_the_same_content_may_come_again_and_another_may_not(stage, settings):
    member = await stage.member(0)
    made = await offered(stage, member)

    answers = await asyncio.gather(*(put(stage, made, PNG) for _ in range(4)))
    other = await put(stage, made, PNG + b"!")

    assert {answer.status for answer in answers} == {200}
    assert (other.status, other.type) == (403, "access_disabled")
    assert (await stage.get(made["download_url"])).body == PNG
    assert await used(member) == (len(PNG), 1)
    assert len(on_disk(settings)) == 1


async def test_of_different_contents_at_once_one_becomes_the_file(stage, settings):
    member = await stage.member(0)
    made = await offered(stage, member)
    contents = [PNG + bytes([each]) for each in range(8)]

    answers = await asyncio.gather(*(put(stage, made, each) for each in contents))

    won = [
        content for content, answer in zip(contents, answers, strict=True) if answer.status == 200
    ]
    assert len(won) == 1
    assert (await stage.get(made["download_url"])).body == won[0]
    assert await used(member) == (len(PNG) + 1, 1)
    assert len(on_disk(settings)) == 1


async def test_a_file_that_breaks_off_leaves_nothing(stage, settings):
    member = await stage.member(0)
    made = await offered(stage, member)
    target = made["upload_url"].removeprefix(stage.url)
    _, writer = await stage.open()
    head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
    writer.write(head.encode() + b"x" * 50_000)
    await writer.drain()
    async with asyncio.timeout(10):
        while not on_disk(settings):
            await asyncio.sleep(0.01)
        writer.close()
        while on_disk(settings):
            await asyncio.sleep(0.01)

    assert (await stage.get(made["download_url"])).status == 404
    assert await used(member) == (0, 1)
    assert (await put(stage, made, PNG)).status == 200


async def test_a_file_has_a_size_and_a_workspace_a_quota_exactly(stage, settings):
    settings.UPLOADS_QUOTA_BYTES = 3 * len(PNG)
    settings.STREAM_BODY_LIMIT_BYTES = 2 * len(PNG)
    member = await stage.member(0)
    made = [await offered(stage, member) for _ in range(6)]

    assert (await put(stage, made[0], PNG * 2 + b"x")).status == 413
    assert (await put(stage, made[0], b"")).status == 400
    answers = await asyncio.gather(*(put(stage, each, PNG) for each in made))

    assert sorted(answer.status for answer in answers) == [200] * 3 + [403] * 3
    assert await used(member) == (3 * len(PNG), 6)
    refused = await stage.post("/customers/storage", member, json={"file_name": "a.png"})
    assert (refused.status, refused.type) == (403, "access_disabled")
    assert len(on_disk(settings)) == 3


@pytest.mark.parametrize(
    ("asked", "status", "given"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-", 200, slice(None)),
        ("bytes=5-2", 416, slice(0)),
        ("bytes=-0", 416, slice(0)),
        ("bytes=999999-", 416, slice(0)),
        ("bytes=0-1,4-5", 200, slice(None)),
        ("lines=0-1", 200, slice(None)),
    ],
)
async def test_a_range_is_given(stage, asked, status, given):
    made = await offered(stage, await stage.member(0))
    await put(stage, made, PNG)

    answer = await stage.get(made["download_url"], headers={"Range": asked})

    assert (answer.status, answer.body) == (status, PNG[given])
    head = await stage.ask("HEAD", made["download_url"], headers={"Range": asked})
    assert (head.status, head.body) == (status, b"")


async def test_what_is_over_is_deleted_once_by_however_many(stage, settings):
    members = [await stage.member(0) for _ in range(2)]
    for member in members:
        for _ in range(3):
            await put(stage, await offered(stage, member), PNG)
    last = await offered(stage, members[0])
    stage.do(
        "UPDATE uploads_upload SET created_at = now() - interval '2 days', expires_at = now()"
        " WHERE address_digest <> %s",
        places.shelf.digest_of(last["download_url"]),
    )

    await asyncio.gather(*(in_thread(places.delete_expired) for _ in range(3)))

    assert await used(members[0]) == (0, 1)
    assert await used(members[1]) == (0, 0)
    assert on_disk(settings) == []
    assert (await put(stage, last, PNG)).status == 200


async def test_a_workspace_is_forgotten_and_no_other(stage, settings):
    one, other = [await stage.member(0) for _ in range(2)]
    for member in (one, other):
        await put(stage, await offered(stage, member), PNG)

    assert await in_thread(lambda: places.forget(one.workspace)) == 1

    assert await in_thread(lambda: Upload.objects.filter(workspace_id=one.workspace).count()) == 0
    assert await in_thread(lambda: Storage.objects.filter(pk=one.workspace).count()) == 0
    assert await used(other) == (len(PNG), 1)
    assert len(on_disk(settings)) == 1


async def test_other_addresses_and_methods_are_refused_in_our_shape(stage):
    for method, path in [("GET", "/uploads/x"), ("POST", "/uploads/x"), ("PUT", "/uploads/../x")]:
        answer = await stage.ask(method, path)
        assert (answer.status, answer.type) == (404, "unknown_route")
    assert (await stage.ask("OPTIONS", "/uploads/x")).status == 204
