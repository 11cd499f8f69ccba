"""Rules of prices in words: each has a sentence, and one in Chinese, on pages and in the list."""

from django.utils import translation

from prices import drafts
from proxy.catalogue import Kind
from proxy.pricing import ranges
from proxy.pricing.said import RULES, said
from proxy.quoting.views import price_list
from proxy.vendors import catalogue


def told():
    """Every rule that an operation of the catalogue has."""
    return {
        ranges.words(operation.price)
        for vendor in catalogue().vendors.values()
        for operation in vendor.operations
        if operation.kind in (Kind.SYNC, Kind.SUBMIT)
    }


def test_each_rule_is_there_for_translation_and_no_other():
    assert sorted(told() - set(RULES)) == []
    assert sorted(set(RULES) - told()) == []


def test_each_is_another_sentence_in_chinese():
    with translation.override("zh-hans"):
        same = [each for each in RULES if said(each) == each]

    assert same == []
    assert said("What no file says.") == "What no file says."


def test_the_list_and_the_pages_tell_them_in_the_language_that_is_asked(client, db):
    english = client.get("/prices")
    chinese = client.get("/prices?language=zh-hans")
    rules = {each["rule"] for each in chinese.json()["operations"]}

    assert {each["rule"] for each in english.json()["operations"]} <= set(RULES)
    assert english["ETag"] != chinese["ETag"]
    assert "每次调用金额相同。" in rules
    assert not rules & set(RULES)
    assert client.get("/prices?language=xx").status_code == 400
    assert price_list(drafts.in_force())[1] == english["ETag"]


def test_a_page_reads_the_rule(alice, client):
    client.force_login(alice.user)
    client.cookies["language"] = "zh-hans"

    page = client.get("/my/prices/of/bfl/flux-pro-1.1-ultra/generate")

    assert "每次调用金额相同。" in page.content.decode()
