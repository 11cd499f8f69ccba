"""Each word that a member or visitor reads is there in each language, whole and right.

What is covered: every message that code and templates mark (local/messages.py finds them), and that
templates of members, labels of their forms and what their views say are marked at all. What is
shown by data (vendors' words, rules of prices, what staff wrote) is no message.
"""

from __future__ import annotations

import ast
import gettext as gettext_of_python
import re
from html.parser import HTMLParser
from pathlib import Path

import allauth
import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.utils import translation

from accounts import borrowed
from local import messages, po

ROOT = messages.ROOT
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
CATALOGUES = {code: po.read(messages.po_of(code)) for code in LANGUAGES}
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sd]|%%|\{\w*\}")
TAG = re.compile(r"</?[a-z][^>]*>")
WIRE_NAME = re.compile(r"\A(?:[a-z_]+|Idempotency-Key): |\A%\(field\)s: ")
HAN = "\u3400-\u9fff"
FULL = "，。；：！？、（）"  # noqa: RUF001 - they are meant
BADLY_SPACED = re.compile(
    rf"[{HAN}][A-Za-z0-9$]|[A-Za-z0-9][{HAN}]"  # No space between Han and Latin.
    rf"|[{HAN}][,;:!?](?!\w)|[{HAN}]\.(?:\s|$)"  # Narrow punctuation.
    rf"| [{FULL}]|[{FULL}] "
)
GLOSSARY = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def wrong(entry):
    """What is not right with a translation, by rules that any language has."""
    for form in entry.forms:
        if not form.strip():
            yield "it has no translation"
        for rule, what in ((PLACEHOLDER, "placeholders"), (TAG, "tags"), (WIRE_NAME, "name")):
            wanted = {
                tuple(sorted(rule.findall(each))) for each in (entry.id, entry.plural) if each
            }
            if tuple(sorted(rule.findall(form))) not in wanted:
                yield f"other {what}"
        if form.endswith("\n") != entry.id.endswith("\n"):
            yield "another end of the line"
    if "fuzzy" in entry.flags:
        yield "it is fuzzy"


def test_each_language_has_exactly_the_messages_that_there_are():
    found = messages.messages()

    for code, known in CATALOGUES.items():
        ours = {key for key in known if key != ("", "")}
        assert ours == set(found), f"python3 dev.py messages ({code})"
        assert all(known[key].plural == each.plural for key, each in found.items())
    assert len(found) > 1300
    assert set(LANGUAGES) == set(messages.PLURALS)


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_is_whole_and_has_what_its_message_has(code):
    forms = messages.PLURALS[code][0]
    of = [each for each in CATALOGUES[code].values() if each.id]

    assert {each.id: found for each in of if (found := list(wrong(each)))} == {}
    assert [each.id for each in of if len(each.forms) != (forms if each.plural else 1)] == []


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (po.Entry("Paid", forms=[""]), "it has no translation"),
        (po.Entry("Paid %(n)s", forms=["付 %(m)s"]), "other placeholders"),
        (po.Entry("<b>Paid</b>", forms=["付"]), "other tags"),
        (po.Entry("role: owner.", forms=["角色为所有者。"]), "other name"),
        (po.Entry("Paid\n", forms=["付"]), "another end of the line"),
        (po.Entry("Paid", forms=["付"], flags=["fuzzy"]), "it is fuzzy"),
    ],
)
def test_what_is_wrong_with_a_translation_is_seen(entry, what):
    assert what in list(wrong(entry))


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_compiled_file_is_of_the_one_that_is_read(code):
    path = messages.po_of(code)

    assert path.with_suffix(".mo").read_bytes() == po.compiled(CATALOGUES[code].values())
    assert list(map(po._block, CATALOGUES[code].values())) == path.read_text().strip().split("\n\n")


def test_django_reads_it():
    with translation.override("zh-hans"):
        assert translation.gettext("Credits") == "积分"
        assert translation.pgettext("state of a run", "Runs") == "运行中"
        assert translation.ngettext("%(times)s time", "%(times)s times", 1) == "%(times)s 次"


# --- Chinese ------------------------------------------------------------------------------------


def test_chinese_is_spaced_and_punctuated_as_chinese():
    found = {}
    for entry in CATALOGUES["zh-hans"].values():
        bare = TAG.sub("", PLACEHOLDER.sub("○", WIRE_NAME.sub("", entry.forms[0])))
        if entry.id and ((badly := BADLY_SPACED.search(bare)) or "您" in bare):
            found[entry.id] = badly or bare

    assert found == {}


def test_the_glossary_holds():
    text = (ROOT / "docs" / "translating.md").read_text().partition("## Glossary")[2]
    table = [(one.split(", "), other) for one, other in GLOSSARY.findall(text)][1:]
    missed = [
        (word, entry.id)
        for entry in CATALOGUES["zh-hans"].values()
        for words, other in table
        for word in words
        if re.search(rf"\b{word}\b", TAG.sub("", PLACEHOLDER.sub("", entry.id)), re.IGNORECASE)
        and other not in entry.forms[0]
    ]

    assert len(table) > 20
    assert missed == []


# --- Nothing is left unmarked -------------------------------------------------------------------

APPS = ("accounts", "apikeys", "credits", "dashboard", "privacy")
TEMPLATES = sorted(
    path
    for app in APPS
    for path in (ROOT / app / "templates").rglob("*")
    if path.suffix in {".html", ".txt"}
)
OF_STAFF = {"ui/viewing.html"}
"""What only who looks as a member sees."""
SHOWN = {"aria-label", "placeholder", "title", "alt", "data-label"}
NAMES = {"JSON", "CSV", "POST /api/v1/workflows//runs"}
WORDS = re.compile(r"[A-Za-z]{2}")


class Bare(HTMLParser):
    """Collects what somebody reads of a template that no tag of translations holds."""

    def __init__(self):
        super().__init__()
        self.found, self.inside = [], []

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)
        self.found += [value for name, value in attrs if name in SHOWN and value]

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style", "pre"} & set(self.inside):
            self.found.append(data.strip())


def unmarked(source):
    """What stands in a template for readers, and is in no tag of translations."""
    text, is_marked, names_a_class = [], False, False
    for token in Lexer(source).tokenize():
        words = token.contents.split()
        if token.token_type == TokenType.BLOCK:
            is_marked = words[0] in ("blocktranslate", "blocktrans", "comment") or (
                is_marked and not words[0].startswith("end")
            )
            names_a_class = words[:2] in (["block", "slim"], ["block", "wide"])
        elif token.token_type == TokenType.TEXT and not is_marked and not names_a_class:
            text.append(token.contents)
    parser = Bare()
    parser.feed("".join(text))
    return [each for each in parser.found if WORDS.search(each) and each not in NAMES]


def test_no_template_of_members_says_what_is_not_marked():
    told = {str(path).partition("templates/")[2]: unmarked(path.read_text()) for path in TEMPLATES}

    assert {name for name, found in told.items() if found} == OF_STAFF, told


def test_what_is_not_marked_is_seen():
    assert unmarked("<p>{% translate 'Here' %} Nobody</p>") == ["Nobody"]
    assert unmarked('<a aria-label="Close it">{{ x }}</a>') == ["Close it"]
    assert (
        unmarked("{% blocktranslate count n=1 %}One{% plural %}Many{% endblocktranslate %}") == []
    )


SAYS = re.compile(r"messages\.(success|error|warning|info)|(forms\.)?ValidationError")
TOLD_BY = {"label", "help_text", "empty_label", "button"}
CODE = sorted(
    path
    for app in ("accounts", "apikeys", "dashboard", "privacy")
    for path in (ROOT / app).rglob("*.py")
    if "migrations" not in path.parts and not path.stem.endswith("views") and path.stem != "wire"
)


def said_plainly(tree):
    """Texts that a form or a view says as they stand in the code."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = [each.value for each in node.keywords if each.arg in TOLD_BY]
        if SAYS.fullmatch(ast.unparse(node.func)):
            given += node.args
        for each in given:
            text = ast.unparse(each)
            if isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and each.value):
                yield text


def test_what_a_form_or_a_view_says_is_marked():
    told = {path: list(said_plainly(ast.parse(path.read_text()))) for path in CODE}

    assert {path.name: found for path, found in told.items() if found} == {}


def test_what_a_view_says_plainly_is_seen():
    tree = ast.parse("messages.error(request, f'No {x}'); Form(label='Name')")

    assert len(list(said_plainly(tree))) == 2


def test_a_message_that_is_made_at_run_time_is_refused(tmp_path):
    path = Path(messages.ROOT / "accounts" / "x.py")
    call = ast.parse("gettext(f'No {x}')", mode="eval").body

    with pytest.raises(messages.Unreadable, match="written out"):
        messages._message(call, "gettext", path)


def test_what_allauth_says_is_said_in_our_words():
    folder = Path(allauth.__file__).parent / "locale" / "zh_Hans" / "LC_MESSAGES"
    with (folder / "django.mo").open("rb") as opened:
        theirs = gettext_of_python.GNUTranslations(opened)

    gone = [each for each in borrowed.BORROWED if theirs.gettext(each) == each]
    assert gone == []
    with translation.override("zh-hans"):
        assert translation.gettext("Incorrect code.") == "验证码不正确。"
