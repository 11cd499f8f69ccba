"""Whatever a call made can be fetched by who called: openly at the vendor, or by its key from us.

An address in an answer is one of three: the vendor's, open for anybody; one of ours, relative, for
its workspace alone, which then has what only our credential opens; or it is a fault.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from sample_calls import SAMPLES, Sample, call, job_of, polled, prepared, sample_of, send
from vendor_calls import RICH

from proxy.catalogue import Gives, Kind, Operation, Vendor
from proxy.vendors import VENDORS

FIRST = {sample.operation.path: sample for sample in reversed(SAMPLES)}
SAID = [pytest.param(sample, id=path) for path, sample in FIRST.items()]
JSON = "application/json"
ADDRESS = re.compile(r"https?://[^\s<>]{3,1000}|/[\w.-]+/[\w./?=&%:-]{1,300}")
BY_KEY = {
    "openai/v1/responses/{response_id}": "openai/v1/responses",
    "openai/v1/videos/{id}/content": "openai/v1/videos",
    "gemini-interactions/files/{file}": "gemini-interactions",
    "minimax/files/retrieve": "minimax/video_generation",
    "rodin/api/v2/download": "rodin/api/v2/rodin",
    "topaz/image/v1/download/{process_id}": "topaz/image/v1/enhance-gen/async",
}
"""What only our credential opens, and the call that makes one: all such routes there are."""


def addresses(body: bytes) -> list[str]:
    """Return what in an answer's JSON is an address, each once."""
    try:
        waiting = [json.loads(body)]
    except ValueError:
        return []
    found = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, str) and ADDRESS.fullmatch(one):
            found.append(one)
        elif isinstance(one, (list, dict)):
            waiting += one.values() if isinstance(one, dict) else one
    return list(dict.fromkeys(found))


def test_every_route_to_what_our_credential_opens_is_looked_at_here():
    kept = {
        each.path for vendor in VENDORS for each in vendor.operations if each.kind is Kind.RESULT
    }
    assert kept == BY_KEY.keys()


@pytest.mark.parametrize("sample", SAID)
async def test_an_answers_addresses_are_open_or_ours(stage, sample):
    member = await stage.member(micros=RICH)
    entry = await prepared(stage, member, sample)
    stage.vendor.desks[sample.vendor.name].overlay = entry.get("answer", {})
    answers = [await send(stage, member, entry)]
    if sample.operation.job is not None:
        answers.append(await polled(stage, member, sample, job_of(stage, member)))
    assert all(answer.status < 300 for answer in answers)

    for address in {one for answer in answers for one in addresses(answer.body)}:
        if address.startswith("/"):
            await only_its_owner_has(stage, member, address)
            continue
        if address.startswith(stage.url):
            assert (await stage.ask("GET", address)).status == 200, "it has a token of its own"
            continue
        given = json.dumps(entry["body"])
        if "/topaz/upload/" in address or address in given or "example" in address:
            continue  # It is the client's own, said again, or where the client puts something.
        assert address.startswith(stage.vendor.url), address
        answer = await stage.ask("GET", address)
        assert answer.status == 200, f"{address} cannot be fetched without our credential"
        assert not answer.headers["content-type"].startswith("application/json"), address


async def only_its_owner_has(stage: Any, member: Any, path: str) -> bytes:
    """Prove that a relative address is for its workspace, and for nobody else."""
    assert path.startswith("/proxy/"), f"{path} leads nowhere here"
    mine = await stage.get(path, member)
    assert (mine.status, mine.headers["content-type"]) in ((200, "video/mp4"), (200, JSON))
    other = await stage.member(micros=RICH)
    assert (await stage.get(path, other)).status == 404
    assert (await stage.get(path)).status == 401
    return mine.body


async def test_a_clip_by_address_is_fetched_from_us_and_not_from_google(stage):
    member = await stage.member(micros=RICH)
    entry = sample_of("/proxy/gemini-interactions").entry
    body = {**entry["body"], "response_format": {"type": "video", "delivery": "uri"}}

    answer = await send(stage, member, entry, body=body)

    assert answer.status == 200, answer.body
    (address,) = addresses(answer.body)
    assert (await only_its_owner_has(stage, member, address))[4:8] == b"ftyp"
    name = address.rpartition("/")[2]
    theirs = f"{stage.vendor.url}/vertexai/v1beta/files/{name}:download?alt=media"
    assert (await stage.ask("GET", theirs)).status in (400, 401, 403)


async def made(stage: Any, member: Any, path: str) -> tuple[Vendor, Operation, str]:
    """Have a call make what that route gives; return its id."""
    sample: Sample = sample_of(f"/proxy/{BY_KEY[path]}")
    operation = next(each for each in sample.vendor.operations if each.path == path)
    if path.startswith("gemini"):
        entry = sample.entry
        body = {**entry["body"], "response_format": {"type": "video", "delivery": "uri"}}
        await send(stage, member, entry, body=body)
    else:
        await call(stage, member, sample)
    (row,) = stage.rows(
        "SELECT asset FROM proxy_asset WHERE workspace_id = %s AND scope = %s",
        member.workspace,
        operation.scope,
    )
    return sample.vendor, operation, row["asset"]


@pytest.mark.parametrize("path", sorted(BY_KEY))
async def test_what_our_credential_opens_is_its_owners_alone(stage, path):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    vendor, operation, name = await made(stage, member, path)
    named = operation.names
    asked, body = f"/proxy/{path}", None
    if named.where == "path":
        asked = asked.replace(f"{{{named.name}}}", name)
    elif named.where == "query":
        asked += f"?{named.name}={name}"
    else:
        body = {named.name: name}

    mine = await stage.ask(operation.method, asked, by=member, json=body)

    assert mine.status in (200, 201), mine.body
    assert (await stage.ask(operation.method, asked, by=other, json=body)).status == 404
    assert (await stage.ask(operation.method, asked, json=body)).status == 401
    upstream = operation.upstream.replace(f"{{{named.name}}}", name)
    query = f"?{named.name}={name}" if named.where == "query" else ""
    theirs = f"{stage.vendor.url}/{vendor.name}{upstream}{query}"
    assert (await stage.ask(operation.method, theirs, json=body)).status in (400, 401, 403)
    if operation.gives is Gives.JSON:  # It tells where the file is: that is open.
        for address in addresses(mine.body):
            assert (await stage.ask("GET", address)).status == 200, address


async def test_a_film_in_a_bucket_of_ours_is_nobodys_result(stage):
    """Google writes into a bucket only where it is asked to; what lies there no client can have."""
    member = await stage.member(micros=RICH)
    sample = sample_of("/proxy/veo/{model}/generate")
    assert (await send(stage, member, sample.entry)).status == 200
    kept = {"videos": [{"gcsUri": "gs://bucket/film.mp4", "mimeType": "video/mp4"}]}
    stage.vendor.desks["vertexai"].overlay = {"response": kept}

    end = await polled(stage, member, sample, job_of(stage, member))

    assert b"gs://" not in end.body
    assert stage.calls(member)[-1]["outcome"] == "failed"
    assert stage.wallet(member) == (RICH, 0)
