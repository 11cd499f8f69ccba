"""The pages of prices: the list as it is looked for, and what a workflow would cost."""

import json

import pytest
from page_text import text

from common.money import usd
from credits.gifts import grants

WORKFLOW = {
    "1": {
        "class_type": "FluxProUltraImageNode",
        "inputs": {"prompt": "a kite", "aspect_ratio": "16:9", "seed": 1, "raw": False},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


def test_prices_are_found_by_model_vendor_or_node(alice, signed_in):
    browser = signed_in(alice)

    every = browser.get("/my/prices")
    assert every.context["total"] > 100
    assert len(every.context["operations"]) == 50
    named = browser.get("/my/prices?q=FluxProUltra")
    assert named.context["total"] >= 1
    assert "FluxProUltraImageNode" in text(named)
    of_one = browser.get("/my/prices?vendor=bfl&page=1")
    assert {each.vendor for each in of_one.context["operations"]} == {"bfl"}
    assert all(each.rule for each in of_one.context["operations"])
    assert "Nothing fits" in text(browser.get("/my/prices?q=nothing-of-the-kind"))
    for query in ("page=0", "page=x", "page=9999", "page=²", f"q={'x' * 300}"):
        assert browser.get(f"/my/prices?{query}").status_code == 200


def test_the_last_page_of_prices_leads_no_further(alice, signed_in):
    browser, seen, at = signed_in(alice), 0, 1

    while at:
        page = browser.get(f"/my/prices?page={at}")
        seen += len(page.context["operations"])
        at = page.context["older"]

    assert seen == page.context["total"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_workflow_is_quoted_and_says_how_often_it_can_be_run(alice, signed_in, wrapped):
    grants.grant(wallet=alice.wallet, amount=usd("2"), key="more", reason="gift")
    told = {"prompt": WORKFLOW} if wrapped else WORKFLOW

    answer = signed_in(alice).post("/my/quote", {"prompt": json.dumps(told)})

    most = answer.context["total"].most
    assert most > 0
    assert answer.context["at_least"] == usd("3") // most
    assert f"You can run this {usd('3') // most} times" in text(answer)
    assert "SaveImage" not in text(answer).partition("<form class=")[0]
    assert alice.now().held_micros == 0


def test_who_has_too_little_is_told_what_there_is(make_member, signed_in):
    answer = signed_in(make_member("0")).post("/my/quote", {"prompt": json.dumps(WORKFLOW)})

    assert "and $0.00 is available" in text(answer)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("", "required"),
        ("{", "JSON"),
        ("[]", ""),
        ("{}", "no workflow"),
        ('{"1": {}}', "API format"),
        ('{"1": {"class_type": 5}}', "API format"),
        ('{"prompt": "x"}', "no workflow"),
        ("[" * 5000, ""),
        ('{"nodes": [], "links": []}', "API format"),
    ],
)
def test_what_is_no_workflow_is_said_to_be_none(alice, signed_in, prompt, says):
    answer = signed_in(alice).post("/my/quote", {"prompt": prompt})

    assert answer.status_code == 400
    assert says in text(answer)


def test_of_nodes_that_cost_nothing_it_says_so(alice, signed_in):
    answer = signed_in(alice).post(
        "/my/quote", {"prompt": json.dumps({"2": {"class_type": "SaveImage", "inputs": {}}})}
    )

    assert "No API node is in it" in text(answer)


@pytest.mark.parametrize("path", ["/my/prices", "/my/quote"])
def test_a_page_asks_few_questions(alice, signed_in, django_assert_max_num_queries, path):
    browser = signed_in(alice)
    browser.get(path)

    with django_assert_max_num_queries(12):
        assert browser.get(path).status_code == 200
