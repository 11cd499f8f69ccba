"""The price book at the pages of staff: drafted, compared, published, never backwards."""

from datetime import timedelta

import pytest
from call_rows import call_of
from django.utils import timezone

from audit.models import Event
from prices import comparing, drafts
from prices.models import Draft, Version


def drafted(member, reason="costs of the house"):
    answer = member.post("prices/draft", reason=reason)
    assert answer.status_code == 302, answer.content.decode()
    return Draft.objects.order_by("-pk").first()


def termed(member, draft, **form):
    given = {"about": "*", "kind": "markup", "amount": "12.5", "unit": ""} | form
    return member.post(f"prices/drafts/{draft.pk}/term", **given)


def publish(member, draft, at):
    return member.post(
        f"prices/drafts/{draft.pk}/publish", at=f"{at:%Y-%m-%dT%H:%M:%S}", reason="x"
    )


def test_a_draft_gets_terms_of_each_kind_and_loses_one(fay):
    draft = drafted(fay)
    assert termed(fay, draft).status_code == 302
    termed(fay, draft, about="kling", kind="fixed", amount="0.05")
    termed(fay, draft, about="bfl", kind="by", amount="0.1", unit="seconds")

    said = fay.text(f"prices/drafts/{draft.pk}")

    for words in ("12.5 % more", "$0.05 a call", "$0.10 by seconds"):
        assert words in said
    assert fay.post(f"prices/drafts/{draft.pk}/without/kling").status_code == 302
    draft.refresh_from_db()
    assert [each["about"] for each in draft.terms] == ["*", "bfl"]
    assert fay.get(f"prices/drafts/{draft.pk}/without/kling").status_code == 404


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"about": "nobody"}, "nothing here that is called nobody"),
        ({"amount": "-101"}, "amount must be from"),
        ({"amount": "NaN"}, "Enter a number"),
        ({"amount": "1.00001"}, "four decimals"),
        ({"kind": "by"}, "names it"),
        ({"kind": "fixed", "amount": "-1"}, "amount must be from"),
        ({"kind": "best"}, "Select a valid choice"),
    ],
)
def test_what_is_no_term_is_refused_with_a_sentence_and_changes_nothing(fay, form, sentence):
    draft = drafted(fay)

    answer = termed(fay, draft, **form)

    assert (answer.status_code, sentence in answer.content.decode()) == (400, True)
    draft.refresh_from_db()
    assert draft.terms == []


def test_a_draft_is_compared_with_what_was_called_and_then_published_with_a_reason(fay, alice):
    call_of(alice, charged_micros=40_000, operation="bfl/flux-pro-1.1/generate")
    draft = drafted(fay)
    termed(fay, draft, about="bfl", amount="10")

    early = publish(fay, draft, timezone.now() + timedelta(hours=1))
    said = fay.post(f"prices/drafts/{draft.pk}/compare").content.decode()
    done = publish(fay, draft, timezone.now() + timedelta(hours=1))

    assert (early.status_code, b"compare it with" in early.content) == (400, True)
    assert "$0.044" in said
    assert done.status_code == 302
    version = Version.objects.get(draft=draft)
    assert (version.by, version.reason) == (fay.user.pk, "x")
    assert Event.objects.filter(action="prices.published", target=str(version.number)).exists()
    listed = fay.text("prices")
    assert "10 % more than the published price" in listed
    assert "To come" in listed


def test_no_version_begins_before_another_or_in_the_past(fay):
    first = drafted(fay)
    comparing.compare(first.pk)
    assert publish(fay, first, timezone.now() - timedelta(hours=1)).status_code == 400
    later = timezone.now() + timedelta(days=2)
    assert publish(fay, first, later).status_code == 302
    second = drafted(fay)
    comparing.compare(second.pk)

    before = publish(fay, second, later - timedelta(days=1))

    assert (before.status_code, b"after the version before" in before.content) == (400, True)
    assert not Version.objects.filter(draft=second).exists()


def test_what_is_amended_is_compared_anew_and_what_is_published_is_never_changed(fay):
    draft = drafted(fay)
    comparing.compare(draft.pk)
    termed(fay, draft)
    draft.refresh_from_db()
    assert draft.compared_at is None
    comparing.compare(draft.pk)
    publish(fay, draft, timezone.now() + timedelta(hours=1))

    changed = termed(fay, draft, amount="20")
    gone = fay.post(f"prices/drafts/{draft.pk}/discard", reason="x")

    assert (changed.status_code, gone.status_code) == (400, 400)
    assert b"never changed" in changed.content
    assert [each["amount"] for each in Version.objects.get(draft=draft).terms] == [125_000]


def test_a_comparison_of_terms_that_were_amended_meanwhile_lets_nobody_publish(fay, monkeypatch):
    draft = drafted(fay)

    def amended_meanwhile(days):
        termed(fay, draft)
        return iter(())

    monkeypatch.setattr(comparing, "_calls", amended_meanwhile)
    comparing.compare(draft.pk)

    draft.refresh_from_db()
    assert draft.compared_at is None


def test_a_draft_is_discarded_and_the_log_keeps_what_it_said(fay):
    draft = drafted(fay)
    termed(fay, draft)

    assert fay.post(f"prices/drafts/{draft.pk}/discard", reason="too dear").status_code == 302

    assert not Draft.objects.filter(pk=draft.pk).exists()
    noted = Event.objects.get(action="prices.discarded", target=str(draft.pk))
    assert noted.before["terms"][0]["amount"] == 125_000
    with pytest.raises(Exception, match="no draft"):
        drafts.find(draft.pk)


def test_support_reads_prices_and_drafts_none(sam, fay):
    draft = drafted(fay)

    assert sam.get("prices").status_code == 200
    assert "Discard" not in sam.text(f"prices/drafts/{draft.pk}")
    assert sam.post("prices/draft", reason="x").status_code == 403
    assert sam.post(f"prices/drafts/{draft.pk}/compare").status_code == 403


def test_what_loses_against_a_vendors_list_is_told_and_raised_by_one_draft(sam, fay):
    said = fay.text("prices/lists")
    assert "topaz/image/v1/enhance-gen/async" in said
    assert "Loses" in said
    assert "Draft what reaches them" in said
    assert "Draft what reaches them" not in sam.text("prices/lists")
    assert sam.post("prices/lists/draft", reason="x").status_code == 403

    answer = fay.post("prices/lists/draft", reason="lists of July")

    made = Draft.objects.order_by("-pk").first()
    assert answer["Location"].endswith(f"/staff/prices/drafts/{made.pk}")
    assert {each["about"] for each in made.terms} >= {
        "topaz/image/v1/enhance-gen/async",
        "synclabs/v2/generate",
    }
