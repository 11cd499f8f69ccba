"""Each reads their own language: on pages, in mails; programs read English."""

# ruff: noqa: RUF001 - Chinese is punctuated so

import re
import time
import uuid
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.utils import translation
from page_text import text

from accounts import invitations, languages, teams
from accounts.models import User
from common.errors import InvalidRequest
from common.told import told
from credits.payments import automatic
from outbox import mails
from outbox.models import Mail
from runs import carrying, ending, runner, staging

CHINESE = {"Accept": "text/html", "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}


@pytest.fixture
def browser(db, tries_forgotten):
    return Client(SERVER_NAME="localhost")


def reads(answer):
    """The language that a page says it is in, in both places."""
    (lang,) = re.findall(r'<html lang="([^"]+)"', answer.content.decode())
    assert answer["Content-Language"] == lang
    return lang


def test_a_visitor_reads_what_their_browser_asks_for_until_they_choose(browser):
    first = browser.get("/account/login/", headers=CHINESE)
    chosen = browser.post("/account/language", {"language": "en", "next": "/account/login/"})
    second = browser.get("/account/login/", headers=CHINESE)

    assert (reads(first), reads(second)) == ("zh-hans", "en")
    assert "登录你的" in text(first)
    assert chosen["Location"] == "/account/login/"
    assert {"Accept-Language", "Cookie"} <= {each.strip() for each in first["Vary"].split(",")}
    assert first["Cache-Control"] == "no-store" or "no-cache" in first["Cache-Control"]


@pytest.mark.parametrize("asked", ["zh-TW", "zh", "zh-Hans-CN", "ZH-sg;q=0.8"])
def test_whoever_reads_some_chinese_reads_this_one(browser, asked):
    assert reads(browser.get("/account/login/", headers={"Accept-Language": asked})) == "zh-hans"


@pytest.mark.parametrize("asked", ["", "fr", "*", "x" * 5000, "zh\u00ff", "en-GB"])
def test_everybody_else_reads_english(browser, asked):
    assert reads(browser.get("/account/login/", headers={"Accept-Language": asked})) == "en"


@pytest.mark.parametrize("cookie", ["xx", "../../etc", "z" * 900, ""])
def test_a_cookie_of_somebody_elses_making_chooses_nothing(browser, cookie):
    browser.cookies["language"] = cookie

    assert reads(browser.get("/account/login/")) == "en"


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:x", ""])
def test_nobody_is_led_elsewhere_by_choosing(browser, back):
    answer = browser.post("/account/language", {"language": "zh-hans", "next": back})

    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_what_is_no_language_is_not_remembered(browser, alice):
    browser.force_login(alice.user)
    answer = browser.post("/account/language", {"language": "tlh", "next": "/my/"})

    assert "language" not in answer.cookies
    assert User.objects.get(pk=alice.user.pk).language == ""
    with pytest.raises(InvalidRequest, match="one of en, zh-hans"):
        languages.choose(alice.user, "tlh")


def test_a_members_choice_follows_them_to_another_browser(browser, alice):
    browser.force_login(alice.user)
    browser.post("/account/language", {"language": "zh-hans", "next": "/my/"})
    other = Client(SERVER_NAME="localhost")
    other.force_login(alice.user)
    page = other.get("/my/")

    assert reads(page) == "zh-hans"
    assert page.cookies["language"].value == "zh-hans", (
        "so that a refusal before signing in is, too"
    )
    assert "积分" in text(page)
    assert "language" not in other.get("/my/").cookies


def test_what_programs_ask_is_answered_in_english(browser, alice):
    browser.cookies["language"] = "zh-hans"
    languages.choose(alice.user, "zh-hans")
    browser.force_login(alice.user)
    browser.get("/my/")  # The same thread made a page in Chinese just now.
    answer = browser.get("/v1/keys", headers={"Accept-Language": "zh-CN", "X-API-KEY": "nonsense"})

    assert answer.status_code == 401
    assert answer.json()["message"].startswith("This is not an API key of this platform.")
    assert "Content-Language" not in answer
    assert translation.get_language() == "en"


def test_staff_pages_are_in_english(browser):
    assert '<html lang="en' in text(browser.get("/staff/login/", headers=CHINESE, follow=True)) or (
        browser.get("/staff/", headers=CHINESE).status_code == 302
    )


def test_a_refusal_on_a_page_is_in_the_language_of_the_page(studio, bob):
    languages.choose(bob.user, "zh-hans")
    answer = studio.member.post("/my/team/name", {"name": "X"})

    assert answer.status_code == 403
    assert "此操作仅限工作区的所有者。" in text(answer)


def test_who_signs_up_on_a_chinese_page_has_chosen_chinese(browser):
    given = {"email": "li@example.org", "password1": "correct horse battery"}
    browser.post("/account/signup/", given, headers=CHINESE)

    assert User.objects.get(email="li@example.org").language == "zh-hans"
    assert re.search("[\u4e00-\u9fff]{4}", Mail.objects.get(to="li@example.org").text)


def test_a_mail_is_in_the_language_of_who_reads_it(alice, bob, db):
    languages.choose(bob.user, "zh-hans")
    team = teams.create(owner=alice.user, name="Studio")
    for email in (bob.user.email, "somebody@example.org"):
        invitations.invite(team.pk, email=email, role="member", by=alice.user, base_url="http://x")
    chinese, english = Mail.objects.filter(key__startswith="invitation:").order_by("pk")

    assert chinese.subject == "加入 Studio"
    assert "以成员身份加入团队 Studio" in chinese.text
    assert english.subject == "Join Studio"
    assert "as member" in english.text


def test_who_chose_nothing_reads_what_whoever_causes_the_mail_reads(alice):
    with translation.override("zh-hans"), mails.in_language_of(alice.user.email):
        assert translation.get_language() == "zh-hans"
    with mails.in_language_of(""):
        assert translation.get_language() == "en"


def test_a_sentence_that_a_row_keeps_is_told_in_either_language():
    kept = automatic.CAPPED % {"cap": "$20.00"}
    budget = (
        "This call can cost $0.06, and $0.01 is left of the budget of this key, $5.00. It begins "
        "anew on 2026-12-01 at 00:00 Europe/Berlin."
    )

    assert told(kept) == kept == "The monthly cap of $20.00 is reached."
    with translation.override("zh-hans"):
        assert told(kept) == "已达到每月上限 $20.00。"
        assert told("The payment did not succeed.") == "付款未成功。"
        assert told(budget) == (
            "此次调用最多可能花费 $0.06，而此密钥的预算 $5.00 只剩 $0.01。"
            "预算将于 2026-12-01 00:00（Europe/Berlin）重置。"
        )
        assert told("Your card was declined.") == "Your card was declined."
        assert told("") == ""


@pytest.mark.parametrize(
    "sentence",
    [
        *ending.STOPPED.values(),
        ending.NO_MACHINE % {"minutes": 30},
        carrying.WORDS,
        carrying.NOWHERE,
        carrying.REFUSED,
        runner.TAKEN_AWAY,
        staging.GONE,
    ],
)
def test_why_a_run_ended_is_told_in_chinese_too(sentence):
    with translation.override("zh-hans"):
        assert told(sentence) != sentence


def test_dates_and_fields_of_dates_have_the_form_of_the_language(browser, alice):
    languages.choose(alice.user, "zh-hans")
    browser.force_login(alice.user)
    page = text(browser.get("/my/settings"))
    field = text(browser.get("/my/usage?since=2026-11-02"))

    assert "设置" in page
    assert 'value="2026-11-02"' in field, "what a browser reads of a date stays ISO 8601"


# --- Nothing of a page stays English ------------------------------------------------------------


class Read(HTMLParser):
    """Collects what somebody reads of a page, but for what is code, or says that it is English."""

    def __init__(self):
        super().__init__()
        self.found, self.hidden = [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if self.hidden or tag in ALOUD or given.get("lang") == "en" or "translate" in given:
            self.hidden.append(tag) if tag not in EMPTY else None
        self.found += [
            given[name] for name in ("aria-label", "placeholder", "alt") if given.get(name)
        ]

    def handle_endtag(self, tag):
        if self.hidden and tag not in EMPTY:
            self.hidden.pop()

    def handle_data(self, data):
        if not self.hidden:
            self.found.append(data.strip())


ALOUD = {"code", "pre", "script", "style"}
EMPTY = {"input", "link", "meta", "br", "img", "path", "use", "hr"}
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,.]+[A-Za-z']{2,}){2,}")


def left_in_english(answer):
    read = Read()
    read.feed(answer.content.decode())
    return [each for each in read.found if ENGLISH.search(each) and each != "Black Forest Labs"]


VISITORS = (
    "/account/login/", "/account/signup/", "/account/signup/passkey/", "/account/password/reset/",
    "/account/inactive/", "/account/3rdparty/login/cancelled/", "/account/3rdparty/login/error/",
    "/privacy/nonsense", "/invitations/nonsense", f"/purchases/{uuid.UUID(int=1)}",
    "/purchases/method", "/oauth/authorize?redirect_uri=x", "/account/nothing", "/reference",
)  # fmt: skip
MEMBERS = (
    "/account/", "/account/email/", "/account/password/change/", "/account/logout/",
    "/account/reauthenticate/", "/account/2fa/totp/activate/", "/account/2fa/webauthn/add/",
    "/account/2fa/recovery-codes/generate/", "/account/3rdparty/", "/account/pair/",
    "/account/privacy/", "/my/nothing", "/my/runs", "/my/workflows", "/my/workflows/new",
    "/my/webhooks", "/my/webhooks/new", "/my/quote", "/my/usage/spend",
    "/my/runs?state=nonsense", "/my/usage?since=x", "/my/keys/new", "/my/team/new",
)  # fmt: skip


@pytest.mark.parametrize("path", VISITORS)
def test_a_visitors_page_is_whole_in_chinese(browser, path):
    answer = browser.get(path, headers=CHINESE, follow=True)

    assert reads(answer) == "zh-hans"
    assert left_in_english(answer) == []


def test_each_page_of_a_member_is_whole_in_chinese(alice, browser):
    languages.choose(alice.user, "zh-hans")
    browser.force_login(alice.user)
    session = browser.session
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session.save()  # They have just shown who they are: no page asks for it before it is shown.
    answers = {path: browser.get(path, headers=CHINESE, follow=True) for path in MEMBERS}

    assert {path for path, answer in answers.items() if reads(answer) != "zh-hans"} == set()
    assert {path: left for path, each in answers.items() if (left := left_in_english(each))} == {}


FORMS = {
    "/account/login/": {"login": "nobody", "password": "x"},
    "/account/signup/": {"email": "no address", "password1": "short"},
    "/account/password/reset/": {"email": ""},
    "/account/pair/": {"code": "K7PX-3MQT"},
    "/account/password/change/": {"oldpassword": "x", "password1": "a"},
    "/account/email/": {"email": "x"},
    "/my/keys/new": {"name": "", "day": "-1", "networks": "nowhere"},
    "/my/team/new": {"name": ""},
    "/my/credits/redeem": {"code": "ABCD"},
    "/my/credits/buy": {"amount": "0"},
    "/my/workflows/new": {"name": "x", "graph": '{"nodes": [], "links": []}'},
    "/my/webhooks/new": {"url": "http://10.0.0.1/", "events": ["run.failed"]},
    "/my/limits/ask": {"amount": "x"},
    "/my/quote": {"workflow": "{}"},
    "/my/settings": {"name": "x" * 200},
}


@pytest.mark.parametrize("path", FORMS)
def test_what_is_wrong_with_a_form_is_said_in_chinese(alice, browser, path):
    languages.choose(alice.user, "zh-hans")
    if not path.startswith(("/account/login", "/account/signup", "/account/password/reset")):
        browser.force_login(alice.user)
    answer = browser.post(path, FORMS[path], headers=CHINESE, follow=True)

    assert reads(answer) == "zh-hans"
    assert left_in_english(answer) == []
