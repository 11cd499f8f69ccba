"""Every answer of every dialect says by what id it is known, and a refusal's is in our log."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from common import logs

NONE = "4e431f70-1cee-4ceb-93b3-23b73aa30eeb"
HEADER = "X-Comfy-Request-Id"
PATHS = (
    "/api/v2/jobs", "/api/v2/jobs?limit=none", f"/api/v2/jobs/{NONE}",
    f"/api/v2/assets/{NONE}", "/api/v2/jobs/none/of/these",
    f"/api/v1/workflows/{NONE}/runs", f"/api/v7/comfyui/fetch/{NONE}",
    "/comfy/queue", "/comfy/history", "/comfy/nothing", "/comfy/view", "/run/rt_no/queue",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["member", "nobody"])
def test_every_answer_of_a_face_has_an_id_of_its_own(alice, path, who, monkeypatch):
    lines = []
    monkeypatch.setattr(logs, "line", lambda **facts: lines.append(facts))
    headers = {"X-API-KEY": alice.key} if who == "member" else {}

    answers = [Client().get(path, headers=headers) for _ in range(2)]

    ids = [answer[HEADER] for answer in answers]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", each) for each in ids)
    assert len(set(ids)) == 2
    logged = [line["request"] for line in lines if line.get("event") == "refused"]
    assert logged == (ids if answers[0].status_code >= 400 else [])
    assert "rt_no" not in json.dumps(lines)
    if answers[0].status_code == 401:
        assert answers[0]["WWW-Authenticate"] == "Bearer"
