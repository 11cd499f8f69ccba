"""All that can be known of somebody: a row of theirs in each table that has such."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta
from pathlib import Path

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone
from privacy_cast import ADDRESS, AGENT, buy, call_of, hear_all

from accounts import invitations, signins, teams
from accounts.models import Membership, User, Workspace
from apikeys import asks, keys
from apikeys.models import ApiKey, Pairing
from audit import log
from common.money import usd
from credits.books import findings, freezes
from credits.gifts import adjustments, vouchers
from credits.models import Allowance, AutoTopUp, Budget, Finding, Freeze, SetupPage
from privacy import registry
from proxy.models import Answer, Asset, Job, Repeat, VendorAccount
from uploads import places, shelf
from uploads.models import Upload


def live(ilse, bob, stripe, folder) -> list[str]:
    """Have Ilse do everything; return the words by which she is found."""
    _in_teams(ilse, bob)
    key = _with_keys(ilse)
    _with_money(ilse, stripe)
    _at_vendors(ilse, folder)
    _beside(ilse)
    user = ilse.user
    record = ApiKey.objects.get(pk=key.pk)
    return [
        user.email, user.name, ADDRESS, AGENT, "ilses-projekt", "Ilses Laptop",
        record.prefix, ilse.key, bytes(record.digest).hex(), "ilse.png",
    ]  # fmt: skip


def _in_teams(ilse, bob):
    """A team alone, one that was passed on, one of Bob's, invitations both ways."""
    teams.create(owner=ilse.user, name=f"{ilse.user.name} alone")
    passed = teams.create(owner=ilse.user, name="Studio")
    invitations.invite(
        passed.pk, email="guest@example.org", role="member", by=ilse.user, base_url="http://x"
    )
    teams.join(passed, bob.user, role="member", by=ilse.user.pk)
    teams.transfer(passed.pk, to=bob.user.pk, by=ilse.user.pk)
    other = teams.create(owner=bob.user, name="Bobs")
    invitations.invite(
        other.pk, email=ilse.user.email, role="member", by=bob.user, base_url="http://x"
    )
    asks.ask(passed.pk, period="day", limit=usd("5"), note=f"{ilse.user.name} asks",
             by=ilse.user.pk)  # fmt: skip


def _with_keys(ilse):
    _, first = keys.issue(
        workspace_id=ilse.workspace_id, user_id=ilse.user.pk, name="Ilses Laptop",
        description=ilse.user.name, project="ilses-projekt", allowed_networks=[f"{ADDRESS}/32"],
    )  # fmt: skip
    keys.issue(
        workspace_id=ilse.workspace_id, user_id=ilse.user.pk, name="next", replaces=first,
        made_by=first,
    )  # fmt: skip
    ApiKey.objects.filter(pk=ilse.api_key_record.pk).update(name="Ilses Laptop")
    Pairing.objects.create(
        state="found", machine="Ilses Laptop", address=ADDRESS, public_key=bytes(32), words="x",
        secret_digest=bytes(32), found_by=ilse.user,
        expires_at=timezone.now() + timedelta(minutes=5),
    )  # fmt: skip
    about = {"owner_kind": "project", "owner": f"{ilse.workspace_id}/ilses-projekt"}
    Allowance.objects.create(**about, period="day", limit_micros=5, set_by=ilse.user.pk)
    Budget.objects.create(**about, starts_at=timezone.now(), limit_micros=5)
    signins.begin(
        user=ilse.user, workspace_id=ilse.workspace_id, client_id="comfyui",
        redirect_uri="http://localhost/", challenge="x" * 43, address=ADDRESS, agent=AGENT,
    )  # fmt: skip
    return first


def _with_money(ilse, stripe):
    staff = uuid.uuid4()
    buy(stripe, ilse)
    hear_all()
    wish, _ = AutoTopUp.objects.get_or_create(wallet_id=ilse.workspace_id)
    AutoTopUp.objects.filter(pk=wish.pk).update(method_label=f"card of {ilse.user.name}")
    SetupPage.objects.create(session_id=f"cs_{uuid.uuid4().hex}", wish=wish)
    adjustments.request(
        ilse.workspace_id, amount=usd("1"), reason=f"{ilse.user.name} waited", requested_by=staff,
        is_gift=True,
    )  # fmt: skip
    freezes.freeze(ilse.workspace_id, Freeze.Cause.STAFF, f"{ilse.user.name} is looked at",
                   by=staff)  # fmt: skip
    freezes.lift(
        ilse.workspace_id, Freeze.Cause.STAFF, by=staff, reason=f"{ilse.user.email} is fine"
    )
    findings.report(f"x:{uuid.uuid4()}", kind=Finding.Kind.FRAUD, wallet_id=ilse.workspace_id,
                    sentence=f"Look at {ilse.user.email}")  # fmt: skip
    code, _ = vouchers.make(name="spring", amount=usd("1"), made_by=staff, reason="a fair")
    vouchers.redeem(ilse.workspace_id, code)


def _at_vendors(ilse, folder):
    call, now = call_of(ilse), timezone.now()
    Job.objects.create(
        id=call.pk, workspace_id=ilse.workspace_id, vendor="bfl", operation="x",
        vendor_job_id=uuid.uuid4().hex, poll_url="http://x", deadline_at=now, next_poll_at=now,
        said=f"for {ilse.user.name}".encode(), ended_at=now, outcome="delivered",
    )  # fmt: skip
    Asset.objects.create(
        vendor="kling", scope="voice", asset=ilse.user.name, workspace_id=ilse.workspace_id
    )
    (folder / "spool").mkdir()
    (folder / "spool" / str(call.pk)).write_text(ilse.user.name)
    Answer.objects.create(
        intent=uuid.uuid4(), call_id=call.pk, fingerprint="x", status=200, spool=str(call.pk),
        body=ilse.user.email.encode(), once=False, kept_until=now + timedelta(days=1),
    )  # fmt: skip
    (folder / "uploads" / "answers" / "2026-11-28").mkdir(parents=True)
    (folder / "uploads" / "answers" / "2026-11-28" / str(call.pk)).write_text(ilse.user.name)
    Answer.objects.create(
        intent=uuid.uuid4(), day=6, call_id=call.pk, fingerprint="x", status=200,
        spool=f"answers/2026-11-28/{call.pk}", once=False, kept_until=now + timedelta(days=1),
    )  # fmt: skip
    Repeat.objects.create(intent=uuid.uuid4(), call_id=call.pk, kept_until=now)
    VendorAccount.objects.create(
        vendor="bfl", workspace_id=ilse.workspace_id, name="own", sealed="1:box",
        changed_by=ilse.user.pk,
    )  # fmt: skip
    places.offer(
        workspace_id=ilse.workspace_id, file_name="ilse.png", content_type="", base="http://x"
    )
    upload = Upload.objects.get(workspace_id=ilse.workspace_id)
    with shelf.arriving() as file:
        file.write(ilse.user.name.encode())
        file.flush()
        shelf.keep(upload.key, "image/png", Path(file.name))
    assert os.listdir(folder / "uploads")


def _beside(ilse):
    """What Django and allauth keep, and what was written of her."""
    Authenticator.objects.create(
        user=ilse.user, type="recovery_codes", data={"name": ilse.user.name}
    )
    SocialAccount.objects.create(
        user=ilse.user, provider="github", uid=uuid.uuid4().hex,
        extra_data={"email": ilse.user.email, "name": ilse.user.name},
    )  # fmt: skip
    LogEntry.objects.create(
        user=ilse.user, content_type=ContentType.objects.get_for_model(User),
        object_id=str(ilse.user.pk), object_repr=ilse.user.email, action_flag=CHANGE,
    )  # fmt: skip
    with log.coming_from(log.Source("web", ADDRESS, AGENT)):
        log.note("x.done", actor=ilse.user.pk, subject=ilse.user.pk)
        log.note("x.done", subject=ilse.user.pk, reason=f"{ilse.user.name} was here")
    Workspace.objects.filter(pk=ilse.workspace_id).update(name=f"{ilse.user.name}s")
    assert Membership.objects.filter(user=ilse.user).count() == 3
    assert len(list(registry.known())) > 60
