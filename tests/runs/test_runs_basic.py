"""A key as the password of Basic: whatever stands there, it is a key or a 401."""

from __future__ import annotations

import base64

import pytest
from django.test import Client

from runs.faces import asking


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_password_is_the_key(alice):
    for user in ("", "me", "comfy"):
        answer = Client().get(
            "/comfy/queue", headers={"Authorization": basic(f"{user}:{alice.key}")}
        )
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "given",
    ["Basic", "Basic ====", "Basic \u00e9", "Basic \u00ff\u00fe:x", "Basic gICA", basic("nobody"),
     basic("me:"), basic("me:\0"), basic("me:\u732b"), "basic " + "A" * 4001],
    ids=ascii,
)  # fmt: skip
def test_what_is_none_is_a_401(db, given):
    answer = Client().get("/comfy/queue", HTTP_AUTHORIZATION=given)

    assert answer.status_code == 401
    assert isinstance(asking.of_header({"Authorization": given}), str)
