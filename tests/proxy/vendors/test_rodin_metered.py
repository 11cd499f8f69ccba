"""Rodin end to end: a form in, a poll by POST, files for their owner only; each way of failing."""

from __future__ import annotations

import asyncio
import io
import json
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from PIL import Image
from proxy_stage import answering, check_refusal, in_thread
from vendor_calls import RICH, followed, micros, spent, until

from common.errors import InvalidRequest
from proxy import forms, memory, tasks
from proxy.asked import Asked, Evidence
from proxy.forms import File, Form
from proxy.vendors import catalogue
from proxy.vendors.rodin import TIERS
from tests.plugin import examples

SUBMIT, STATUS = "/proxy/rodin/api/v2/rodin", "/proxy/rodin/api/v2/status"
DOWNLOAD = "/proxy/rodin/api/v2/download"
FOX = {"prompt": "a red fox", "tier": "Regular"}
PRICE = "0.4"


def picture():
    drawn = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(drawn, "PNG")
    return drawn.getvalue()


def form(fields=FOX, *, images=0, files=()):
    """Write a form as the node does: a list is several fields, a file has a name."""
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [value]:
            data.add_field(name, f"{each}")
    for number in range(images):
        data.add_field("images", picture(), filename=f"{number}.png", content_type="image/png")
    for name in files:
        data.add_field(name, b"Gen-2.5-Extreme-High", filename="x.txt")
    return data


async def submit(stage, member, fields=FOX, **more):
    answer = await stage.post(SUBMIT, member, data=form(fields, **more))
    assert answer.status == 201, answer.body
    return answer.json()


def asked_for(task):
    return {"subscription_key": task["jobs"]["subscription_key"]}


def states(answer):
    return {job["status"] for job in answer.json()["jobs"]}


def is_over(answer):
    return answer.status != 200 or not states(answer) & {"Waiting", "Generating"}


async def polled(stage, member, task):
    return await until(lambda: stage.post(STATUS, member, json=asked_for(task)), is_over)


@pytest.mark.parametrize(
    ("fields", "images", "usd"),
    [
        (FOX, 0, "0.4"),
        ({**FOX, "tier": "Gen-2"}, 5, "0.4"),
        ({**FOX, "tier": "Gen-2.5-High", "bbox_condition": [10, 20, 30]}, 1, "0.75"),
        ({**FOX, "tier": "Gen-2.5-Extreme-High", "addons": ["HighPack"]}, 1, "2.3"),
        ({**FOX, "addons": '["HighPack"]'}, 0, "1.2"),
    ],
)
async def test_a_model_is_charged_by_tier_and_addon(stage, fields, images, usd):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, fields, images=images)
    assert stage.wallet(member) == (RICH, micros(usd))
    early = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
    assert early.status in (201, 404)

    end = await polled(stage, member, task)
    files = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})

    assert states(end) == {"Done"}
    spent(stage, member, usd)
    (call,) = stage.calls(member)
    assert call["outcome"] == "delivered"
    assert call["price_version"] == "rodin-2026-08"
    links = {each["name"]: each["url"] for each in files.json()["list"]}
    glb = next(url for name, url in links.items() if name.endswith(".glb"))
    assert (await stage.get(glb)).body[:4] == b"glTF"
    assert stage.wallet(member) == (RICH - micros(usd), 0)


async def test_after_a_restart_its_owner_reads_what_to_ask_for_the_files(stage):
    """The end of a task names no file, and a link to one lives for ten minutes."""
    member = await stage.member(micros=RICH)
    task = await submit(stage, member)
    await polled(stage, member, task)
    (call,) = stage.calls(member)

    kept = (await stage.get(f"/v1/calls/{call['id']}/result", member)).json()
    files = await stage.ask(
        kept["ask"]["method"], kept["ask"]["path"], by=member, json=kept["ask"]["body"]
    )

    assert (kept["status"], kept["urls"]) == ("delivered", [])
    assert any(each["name"].endswith(".glb") for each in files.json()["list"])


async def test_a_download_before_the_end_gives_nothing(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, {**FOX, "prompt": "sandbox:delay=30"})
    early = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
    assert (early.status, early.type) == (404, "not_found")
    check_refusal(early)
    assert stage.vendor.counts("rodin")["by_path"].get("/api/v2/download") is None


async def test_a_model_that_nobody_asks_for_is_settled_by_the_follower(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, images=1)
    await followed(stage, member)
    spent(stage, member, PRICE)
    files = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
    assert files.status == 201
    assert len(files.json()["list"]) == 2


async def test_the_first_download_settles_what_nobody_polled(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member)
    files = await until(
        lambda: stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]}),
        lambda answer: answer.status == 201,
    )
    assert files.json()["list"]
    spent(stage, member, PRICE)


@pytest.mark.parametrize("failure", ["failed", "moderated", "content_moderated"])
async def test_a_model_that_does_not_come_costs_nothing(stage, failure):
    """`Canceled` is a word that no client knows: they would poll on for ten minutes."""
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, {**FOX, "prompt": f"sandbox:{failure}"})
    end = await polled(stage, member, task)
    assert states(end) == {"Done", "Failed"}
    spent(stage, member, "0")
    assert [call["outcome"] for call in stage.calls(member)] == ["failed"]
    refused = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
    assert refused.status == 404


async def test_two_pollers_and_the_follower_settle_it_once_and_ask_once(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member)
    await asyncio.gather(
        *(stage.post(STATUS, member, json=asked_for(task)) for _ in range(10)),
        followed(stage, member),
    )
    await stage.settled(member, 1)
    spent(stage, member, PRICE)
    assert stage.vendor.counts("rodin")["polls"] <= 2


async def test_what_expired_is_not_free_later(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, {**FOX, "prompt": "sandbox:never"})
    stage.over(member)
    await followed(stage, member)
    assert [call["outcome"] for call in stage.calls(member)] == ["expired"]
    spent(stage, member, "0")
    refused = await stage.post(STATUS, member, json=asked_for(task))
    assert (refused.status, refused.type) == (422, "job_expired")
    assert (await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})).status == 404


@pytest.mark.slow
async def test_a_result_that_comes_after_its_time_is_charged_when_it_is_handed_out(stage):
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, {**FOX, "prompt": "sandbox:delay=1"})
    stage.over(member)
    await followed(stage, member)
    spent(stage, member, "0")
    await asyncio.sleep(1.1)
    stage.do("UPDATE proxy_job SET asked_at = NULL WHERE workspace_id = %s", member.workspace)
    stage.application._platform.recent._said.clear()

    files = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})

    assert files.status == 201, files.body
    spent(stage, member, PRICE)
    assert [call["outcome"] for call in stage.calls(member)] == ["expired", "delivered"]


async def test_a_job_that_is_forgotten_gives_nothing_any_more(stage):
    """Nobody knows then whether it was paid for; Rodin may have kept it."""
    member = await stage.member(micros=RICH)
    task = await submit(stage, member, {**FOX, "prompt": "sandbox:never"})
    stage.over(member)
    await followed(stage, member)
    long_ago = "UPDATE proxy_job SET ended_at = now() - interval '4 days' WHERE workspace_id = %s"
    stage.do(long_ago, member.workspace)
    await in_thread(tasks.forget)
    stage.vendor.desks["rodin"].jobs.find(task["uuid"]).failures.clear()

    refused = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
    assert (refused.status, refused.type) == (404, "not_found")
    assert stage.vendor.counts("rodin")["by_path"].get("/api/v2/download") is None


async def test_nobody_reaches_what_another_made(stage):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    task = await submit(stage, member)
    await polled(stage, member, task)
    for path, body in (
        (STATUS, asked_for(task)),
        (STATUS, {"subscription_key": "unknown"}),
        (STATUS, {"subscription_key": ""}),
        (STATUS, {}),
        (DOWNLOAD, {"task_uuid": task["uuid"]}),
        # The other name of the same task is none here.
        (STATUS, {"subscription_key": task["uuid"]}),
        (DOWNLOAD, {"task_uuid": task["jobs"]["subscription_key"]}),
    ):
        refused = await stage.post(path, other, json=body)
        assert refused.status == 404, body
        check_refusal(refused)
    without = await stage.post(DOWNLOAD, other, json={})
    assert (without.status, without.type) == (400, "invalid_request")
    assert (await stage.post(STATUS, json=asked_for(task))).status == 401
    assert (await stage.post(DOWNLOAD, json={"task_uuid": task["uuid"]})).status == 401
    assert stage.calls(other) == []


async def test_what_has_no_price_is_refused_before_anything_is_held(stage):
    member = await stage.member()
    for fields, files, named in (
        ({**FOX, "tier": "Gen-9"}, (), "Gen-9"),
        ({**FOX, "addons": "MegaPack"}, (), "addons"),
        ({**FOX, "addons": ["HighPack", "x"]}, (), "addons"),
        ({**FOX, "addons[]": "HighPack"}, (), "addons"),
        ({**FOX, "Tier": "Gen-2.5-Extreme-High"}, (), "Tier"),
        # A vendor may read a file of that name as the field: no price escapes that way.
        ({"prompt": "x"}, ("tier",), "tier must be a text"),
        (FOX, ("addons",), "addons must be a text"),
    ):
        refused = await stage.post(SUBMIT, member, data=form(fields, files=files))
        assert (refused.status, refused.type) == (400, "invalid_request"), fields
        assert named in refused.json()["message"]
        check_refusal(refused)
    twice = form(FOX)
    twice.add_field("tier", "Gen-2.5-Extreme-High")
    assert (await stage.post(SUBMIT, member, data=twice)).status == 400
    assert (await stage.post(SUBMIT, member, json=FOX)).status == 400
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.vendor.counts("rodin")["submits"] == 0


async def test_a_wrong_key_is_the_operators_affair(stage, configure):
    configure(VENDOR_RODIN_KEY="another-vendor-key")
    member = await stage.member()
    refused = await stage.post(SUBMIT, member, data=form())
    assert (refused.status, refused.type) == (403, "provider_disabled")
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(
    ("failure", "status", "type_"),
    [
        ("inside", 403, "provider_disabled"),
        ("inside=401", 403, "provider_disabled"),
        ("inside=403", 403, "provider_disabled"),
        ("inside=429", 429, "provider_rate_limited"),
        ("inside=503", 502, "provider_error"),
        ("inside=500", 422, "outcome_unknown"),
        ("inside=504", 422, "outcome_unknown"),
        ("inside=400", 422, "provider_rejected"),
        ("code=400", 400, "provider_rejected"),
        ("code=402", 403, "provider_disabled"),
        ("status=500", 502, "provider_error"),
        ("nonjson", 422, "outcome_unknown"),
        ("no_id", 422, "outcome_unknown"),
        ("cut", 422, "outcome_unknown"),
    ],
)
async def test_an_error_is_one_in_a_201_too(stage, failure, status, type_):
    member = await stage.member()
    refused = await stage.post(SUBMIT, member, data=form({"prompt": f"sandbox:{failure}"}))
    assert (refused.status, refused.type) == (status, type_)
    check_refusal(refused)
    assert b"top up" not in refused.body
    assert stage.wallet(member) == (5_000_000, 0)


async def test_a_lost_answer_keeps_the_hold(stage):
    member = await stage.member()
    refused = await stage.post(SUBMIT, member, data=form({"prompt": "sandbox:drop_after"}))
    assert (refused.status, refused.type) == (422, "outcome_unknown")
    assert stage.wallet(member) == (5_000_000, micros(PRICE))


async def test_a_poll_that_fails_for_a_moment_is_still_running(stage):
    member = await stage.member(micros=RICH)
    for failure in ("poll_status=500", "poll_inside=402", "poll_nonjson", "poll_cut"):
        task = await submit(stage, member, {"prompt": f"sandbox:{failure}"})
        answer = await stage.post(STATUS, member, json=asked_for(task))
        assert (answer.status, states(answer)) == (200, {"Generating"}), failure


async def test_a_download_that_fails_is_told_and_costs_nothing_more(stage):
    member = await stage.member(micros=RICH)
    for failure, status in (
        ("result_status=500", 502),
        ("result_inside=402", 403),
        ("result_nonjson", 422),
        ("result_cut", 422),
    ):
        task = await submit(stage, member, {"prompt": f"sandbox:{failure}"})
        await polled(stage, member, task)
        refused = await stage.post(DOWNLOAD, member, json={"task_uuid": task["uuid"]})
        assert refused.status == status, failure
        check_refusal(refused)
    spent(stage, member, "1.6")


async def test_our_key_does_not_come_back(stage):
    member = await stage.member(micros=RICH)
    for failure, ask in (("echo", None), ("poll_echo", STATUS), ("result_echo", DOWNLOAD)):
        answer = await stage.post(SUBMIT, member, data=form({"prompt": f"sandbox:{failure}"}))
        if ask is not None:
            task = answer.json()
            await polled(stage, member, task)
            body = asked_for(task) if ask == STATUS else {"task_uuid": task["uuid"]}
            answer = await stage.post(ask, member, json=body)
        assert b"debug" in answer.body, failure
        assert b"vendor-secret" not in answer.body


async def test_a_form_is_sent_with_its_parts_and_known_again_by_them(stage):
    """A client that tries again makes a new boundary; it gets the first one's answer."""
    member = await stage.member(micros=RICH)
    key = {"Idempotency-Key": "k1"}
    first = await stage.post(SUBMIT, member, data=form(images=2), headers=key)
    second = await stage.post(SUBMIT, member, data=form(images=2), headers=key)
    other = await stage.post(SUBMIT, member, data=form(images=1), headers=key)
    assert first.status == second.status == 201
    assert first.json() == second.json()
    assert other.status == 409
    assert stage.vendor.counts("rodin")["accepted"] == 1

    seen = []

    async def rodin(request):
        sent = await request.post()
        seen.append((sent.getall("bbox_condition"), sent["images"].file.read()))
        return aiohttp.web.json_response({"uuid": "u", "jobs": {"subscription_key": "k"}})

    async with answering(rodin) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            fields = {**FOX, "bbox_condition": [1, 2, 3]}
            sent = await stage.post(SUBMIT, member, data=form(fields, images=1))
    assert sent.status == 200
    assert seen == [(["1", "2", "3"], picture())]


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="tier"; name="x"',
        'form-data; name="x"; name="tier"',
        'form-data; name="x"\r\nContent-Disposition: form-data; name="tier"',
        'form-data; name="tier"\r\nContent-Disposition: form-data; name="x"',
        "form-data; name=x; name*=UTF-8''tier",
    ],
)
async def test_the_vendor_reads_the_fields_that_were_priced(stage, disposition):
    """Who reads such a part otherwise than we would make the dearest for the price of another."""
    member = await stage.member(micros=RICH)
    parts = [
        'Content-Disposition: form-data; name="prompt"\r\n\r\na fox',
        f"Content-Disposition: {disposition}\r\n\r\nGen-2.5-Extreme-High",
    ]
    body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
    seen = []

    async def rodin(request):
        seen.append(await request.text())
        return aiohttp.web.json_response({"uuid": "u", "jobs": {"subscription_key": uuid4().hex}})

    async with answering(rodin) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            await stage.post(SUBMIT, member, data=body.encode(), headers=kind)

    (sent,) = seen
    heads = [line for line in sent.splitlines() if line.lower().startswith("content-disposition")]
    names = [head.partition("name=")[2] for head in heads]
    assert sorted(names)[0] == '"prompt"'
    assert all(name.count("name") == 0 for name in names), "each has one"
    is_dear = '"tier"' in names
    assert stage.wallet(member) == (RICH, micros("1.5" if is_dear else "0.4"))


async def test_the_body_of_a_poll_holds_an_id_and_no_more(stage):
    """It is read before its key was looked up: strangers fill no memory with it."""
    body = b'{"subscription_key": "' + b"x" * 70_000 + b'"}'
    refused = await stage.post(STATUS, data=body, headers={"X-API-KEY": "comfyui-" + "0" * 64})
    assert (refused.status, refused.type) == (413, "body_too_large")
    assert "64 KiB" in refused.json()["message"]


@pytest.mark.parametrize("how", ["multipart", "urlencoded", "file"])
async def test_a_form_counts_in_the_share_of_who_sends_it(stage, settings, monkeypatch, how):
    """Its texts in that of memory, its files in that of the disk; and all of it is given back."""
    settings.BODY_MEMORY_BYTES = (8 if how == "file" else 2) << 20
    monkeypatch.setattr(forms, "DISK_LIMIT_BYTES", 4 << 20)
    member, much = await stage.member(RICH), "x" * 900_000
    data = form({**FOX, "prompt": much}) if how == "multipart" else {**FOX, "prompt": much}
    if how == "file":
        data = form()
        data.add_field("images", io.BytesIO(bytes(3 << 20)), filename="a.png")

    answer = await stage.post(SUBMIT, member, data=data)

    assert (answer.status, answer.type) == (429, "rate_limited")
    assert stage.wallet(member) == (RICH, 0)
    assert (memory.held.of, forms.on_disk.of) == ({}, {})
    await submit(stage, member, images=1)


texts = st.one_of(st.sampled_from([*TIERS, "gen-2.5-high", "HighPack", ""]), st.text(max_size=8))


@rules(max_examples=examples(300), deadline=None)
@given(
    fields=st.dictionaries(st.sampled_from(["tier", "addons[]", "TIER", "seed"]), texts),
    addons=st.lists(texts, max_size=2),
    file=st.sampled_from(["images", "tier", "addons"]),
)
def test_no_price_is_more_than_its_quote(fields, addons, file):
    made = Form("multipart/form-data", ("addons",))
    made.add(file, File(file, "x", "image/png", 0))
    body = {**fields, **({"addons": addons} if addons else {})}
    rule = catalogue().find("POST", SUBMIT).operation.price
    try:
        quoted = asyncio.run(rule.quote(Asked(body=body, form=made)))
    except InvalidRequest:
        return
    finally:
        made.close()
    inputs = json.loads(json.dumps(quoted.inputs))
    assert 400_000 <= rule.settle(inputs, Evidence(end={})) == quoted.most <= 2_300_000
