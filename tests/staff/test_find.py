"""One box for whatever somebody has, and the customer that it leads to."""

import uuid

import pytest
from call_rows import call_of

from apikeys import keys
from common.money import usd
from credits.models import Billing, Dispute, Hold, TopUp
from proxy.models import Job


def led_to(answer):
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return answer["Location"]


@pytest.fixture
def bought(alice):
    """A purchase of Alice's, with all ids that it can have."""
    Billing.objects.update_or_create(pk=alice.workspace_id, defaults={"customer_id": "cus_a1"})
    return TopUp.objects.create(
        wallet_id=alice.workspace_id, amount_micros=usd("25"), source="checkout", state="failed",
        session_id="cs_test_a1", payment_intent_id="pi_a1",
    )  # fmt: skip


def test_each_thing_that_somebody_has_leads_to_what_it_is(sam, alice, bought):
    made = call_of(alice, vendor_request_id="req-77", vendor_job_id="job-77", run_id="run-77")
    Dispute.objects.create(id="dp_a1", top_up=bought, status="needs_response", cents=2500)
    customer, call = f"/staff/customers/{alice.workspace_id}", f"/staff/calls/{made.pk}"
    purchase = f"/staff/purchases/{bought.pk}"
    leads = {
        alice.user.email: customer, alice.user.email.upper(): customer,
        str(alice.workspace_id): customer,
        alice.key: f"{customer}#key-{alice.api_key_record.pk}",
        alice.api_key_record.prefix: f"{customer}#key-{alice.api_key_record.pk}",
        str(alice.api_key_record.pk): f"{customer}#key-{alice.api_key_record.pk}",
        str(made.pk): call, "req-77": call, "job-77": call, "run-77": call,
        "cs_test_a1": purchase, "pi_a1": purchase, "dp_a1": purchase, str(bought.pk): purchase,
        "cus_a1": customer, str(alice.user.pk): customer,
    }  # fmt: skip

    found = {text: led_to(sam.post("find", q=f" {text} ")) for text in leads}

    assert found == leads


def test_a_call_that_runs_is_found_by_its_id_and_by_its_vendors_job(sam, alice, place_hold):
    hold = place_hold(alice, "0.30")
    Hold.objects.filter(pk=hold.id).update(memo={"run": "run-now", "vendor": "kling"})
    Job.objects.create(
        id=hold.id, workspace_id=alice.workspace_id, vendor="kling", operation="video",
        vendor_job_id="far-1", poll_url="x", deadline_at="2030-01-01T00:00Z",
        next_poll_at="2030-01-01T00:00Z",
    )  # fmt: skip

    for text in (str(hold.id), "far-1", "run-now"):
        assert led_to(sam.post("find", q=text)) == f"/staff/calls/{hold.id}"
    assert "far-1" in sam.text(f"calls/{hold.id}")


def test_what_fits_several_is_shown_as_a_list_and_what_fits_nothing_says_so(sam, make_member):
    word = uuid.uuid4().hex[:12]
    for _ in range(2):
        user = make_member().user
        user.name = f"{word} Sample"
        user.save()

    assert sam.post("find", q=word).content.decode().count(f"{word} Sample") == 2
    nothing = sam.post("find", q=f"{word}-nothing")
    assert (nothing.status_code, b"Nothing fits" in nothing.content) == (404, True)
    assert led_to(sam.post("find", q=" \0 ")) == "/staff/"


def test_a_whole_key_that_is_nobodys_is_not_repeated(sam, bob):
    bob.api_key_record.delete()

    answer = sam.post("find", q=bob.key)

    assert (answer.status_code, b"Nothing fits" in answer.content) == (404, True)
    assert bob.key not in answer.content.decode()


@pytest.mark.parametrize("text", ["%", "_", "'; --", "\\", "x" * 5000, "é" * 300, "<b>"])
def test_odd_texts_are_only_texts(sam, text):
    answer = sam.post("find", q=text)

    assert answer.status_code in (200, 302, 404)
    assert b"<b></h1>" not in answer.content


def test_a_customer_is_shown_whole_in_a_bounded_number_of_questions(
    sam, alice, bought, place_hold, django_assert_max_num_queries
):
    for n in range(12):
        call_of(alice, charged_micros=5_000 * n, vendor_request_id=f"req-{n}")
    place_hold(alice, "0.30")
    sam.text("")  # Whatever is looked up once.

    with django_assert_max_num_queries(44):
        said = sam.text(f"customers/{alice.workspace_id}")

    for word in (alice.user.email, "req-11", "$0.33", "held at most", alice.api_key_record.prefix):
        assert word in said
    assert alice.key not in said


def test_what_is_not_there_is_told_as_a_page(sam):
    for kind in ("customers", "calls", "purchases"):
        answer = sam.get(f"{kind}/{uuid.uuid4()}")
        assert (answer.status_code, b"nothing of that name" in answer.content) == (404, True)


def test_who_has_no_role_reads_nothing_and_is_told(of_staff, alice):
    nobody = of_staff()
    answer = nobody.get(f"customers/{alice.workspace_id}")

    assert answer.status_code == 403
    assert b"Your roles: none" in answer.content
    assert alice.user.email.encode() not in answer.content


@pytest.mark.parametrize(("form", "left"), [({}, 1), ({"with_made": "on"}, 0)])
def test_a_key_that_leaked_is_revoked_with_what_was_made_with_it(sam, alice, form, left):
    own = {"workspace_id": alice.workspace_id, "user_id": alice.user.pk}
    keys.issue(**own, name="mine now", made_by=alice.api_key_record)
    page = f"keys/{alice.api_key_record.pk}/revoke"

    asked = sam.text(page)
    sam.post(page, reason="It leaked.", **form)

    assert "1 keys" in asked
    assert 'name="with_made"' in asked
    assert keys.living().filter(user=alice.user).count() == left
