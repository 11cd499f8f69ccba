"""Files of a workspace that are put here a second time, and such as go while they are named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from test_face_v2 import asking, post
from test_faces_files import ABC, ASSETS, put

from runs.models import Asset
from uploads import shelf

pytestmark = pytest.mark.slow
WEEK = timedelta(days=7)


def over_in(asset_id, **left):
    Asset.objects.filter(pk=asset_id).update(expires_at=timezone.now() + timedelta(**left))


def remaining(asset_id):
    return Asset.objects.get(pk=asset_id).expires_at - timezone.now()


def again(client, how):
    if how == "upload":
        return put(client, b"abc", "a.txt").json()["id"]
    if how == "from-hash":
        return post(client, f"{ASSETS}/from-hash", {"hash": ABC}).json()["id"]
    sent = SimpleUploadedFile("a.txt", b"abc")
    assert client.post("/comfy/upload/image", {"image": sent}).json()["name"] == "a.txt"
    return str(Asset.objects.order_by("-created_at").first().pk)


@pytest.mark.parametrize("how", ["upload", "from-hash", "upload/image"])
def test_what_is_put_here_again_stays_as_long_as_if_it_were_new(stage, ada, how):
    """A script that uploads its picture each day would find it gone between upload and run."""
    client = asking(ada)
    asset = put(client, b"abc", "a.txt", expires_in="60").json()["id"]

    assert again(client, how) == asset
    assert remaining(asset) > WEEK - timedelta(minutes=5)

    assert put(client, b"abc", "a.txt", expires_in="60").json()["id"] == asset
    assert remaining(asset) > WEEK - timedelta(minutes=5), "nobody shortens it by that"


@pytest.mark.parametrize("how", ["upload", "from-hash", "upload/image"])
def test_what_is_over_at_this_moment_is_kept_anew(stage, ada, how):
    """Who deletes what is over may have read its row already."""
    client = asking(ada)
    asset = put(client, b"abc", "a.txt").json()["id"]
    over_in(asset, seconds=5)

    made = again(client, how)

    assert made != asset
    assert remaining(made) > WEEK - timedelta(minutes=5)


def test_a_file_that_goes_while_it_is_named_by_its_digest_is_none(stage, ada):
    client = asking(ada)
    asset = Asset.objects.get(pk=put(client, b"abc", "a.txt").json()["id"])
    shelf.drop(asset.key)  # As who deletes it does first.

    answer = post(client, f"{ASSETS}/from-hash", {"hash": ABC, "file_path": "b.txt"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "blob_not_found")
    own = Asset.objects.filter(workspace_id=ada.workspace_id)
    assert not own.filter(file_path="b.txt").exists()


def test_a_name_that_was_taken_once_is_taken_again_where_none_is_said(stage, ada):
    client = asking(ada)
    made = put(client, b"abc", "a.txt", file_path="input/models/a.txt").json()

    answer = post(client, f"{ASSETS}/from-hash", {"hash": ABC})

    assert (made["file_path"], answer.status_code) == ("models/a.txt", 200)
    assert answer.json()["id"] == made["id"]
