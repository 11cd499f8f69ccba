"""A statement sums to the balance, and no change of it goes unnoticed."""

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import written_history as history
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_history import day

from common.errors import InvalidRequest, NotFound
from credits.books import holds
from credits.gifts import grants
from credits.statements import chain, files, sealing
from credits.statements.forms import Csv, Json, read
from tests.plugin import examples

ROOT = Path(__file__).parents[3]
FORMS = {"csv": Csv, "json": Json}
NOTE = 'a, "quoted"\nnote ü'
DAYS = [
    ("top_up", 10_000_000, "2026-03-01", {"purchase": "7a9d"}),
    ("grant", 500_000, "2026-03-02", {}),
    ("call", -60_000, "2026-03-02", {}),
    ("call", -40_000, "2026-03-05", {}),
    ("refund", -5_000_000, "2026-03-09", {"purchase": NOTE}),
    ("call", -1, "2026-04-01", {}),
    ("adjustment", -399_999, "2026-04-01", {}),
    ("adjustment", 250_000, "2026-04-02", {"of": "call:lost"}),
    ("expiry", -100_000, "2026-05-01", {}),
]


@pytest.fixture
def carol(make_member):
    """Carol has a spring of entries."""
    member = make_member("0")
    for kind, amount, at, facts in DAYS:
        history.post(member.workspace_id, kind, amount, day(at), facts=facts)
    return member


def whole(member, form="csv", *, first="2026-03-01", until=None):
    until = date.fromisoformat(until) if until else None
    cut = files.cut(member.workspace_id, first=date.fromisoformat(first), until=until)
    return "".join(files.pages(cut, FORMS[form]()))


def verify(text):
    return chain.verify(io.StringIO(text.removeprefix("\ufeff"), newline=""))


def parts(text):
    """Return head, lines, totals and closing."""
    found = {"head": [], "line": [], "total": [], "closing": []}
    for what, (_, values) in read(io.StringIO(text, newline="")):
        found[what].append(values)
    return found["head"][0], found["line"], found["total"], found["closing"][0]


@pytest.mark.parametrize("form", FORMS)
def test_a_statement_until_now_closes_with_the_balance(carol, form):
    grants.grant(wallet=carol.now(), amount=7, key="just now", reason="")
    holds.capture(holds.place(carol.workspace_id, amount=60, ttl_seconds=60), 50)

    text = whole(carol, form)

    head, lines, totals, closing = parts(text)
    assert closing["closing_balance_micros"] == carol.now().balance_micros == 5_149_957
    assert sum(line["amount_micros"] for line in lines) == carol.now().balance_micros
    assert sum(total["amount_micros"] for total in totals) == carol.now().balance_micros
    assert (head["opening_position"], head["opening_hash"]) == (0, "0" * 64)
    assert (closing["closing_position"], closing["sealed_position"]) == (11, 9)
    assert verify(text).is_good


def test_what_was_not_sealed_yet_is_sealed_with_the_hash_it_was_shown_with(carol):
    grants.grant(wallet=carol.now(), amount=7, key="just now", reason="")
    shown = parts(whole(carol))[3]

    sealing.seal(carol.workspace_id, now=timezone.now() + timedelta(minutes=2))

    assert sealing.tip(carol.workspace_id).hash == shown["closing_hash"]


def test_a_period_has_its_own_lines_and_goes_on_where_the_one_before_closed(carol):
    march = parts(whole(carol, until="2026-04-01"))
    april = parts(whole(carol, first="2026-04-01", until="2026-05-01"))

    assert [line["position"] for line in march[1]] == [1, 2, 3, 4, 5]
    assert [line["position"] for line in april[1]] == [6, 7, 8]
    for end in ("position", "balance_micros", "hash"):
        assert march[3][f"closing_{end}"] == april[0][f"opening_{end}"]
    assert april[0]["opening_balance_micros"] == 5_400_000
    assert april[2] == [
        {"kind": "adjustment", "lines": 2, "amount_micros": -149_999},
        {"kind": "call", "lines": 1, "amount_micros": -1},
    ]
    assert march[3]["sealed_position"] == 5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("first", "until", "balance"),
    [("2026-01-01", "2026-02-01", 0), ("2026-03-15", "2026-04-01", 5_400_000)],
)
def test_an_empty_period_opens_and_closes_alike(carol, form, first, until, balance):
    text = whole(carol, form, first=first, until=until)

    head, lines, totals, closing = parts(text)
    assert (lines, totals) == ([], [])
    assert head["opening_balance_micros"] == closing["closing_balance_micros"] == balance
    assert verify(text).is_good


def test_a_line_says_when_what_and_what_for(carol):
    line = parts(whole(carol))[1][4]

    assert line["time"] == "2026-03-09T12:00:00.000000Z"
    assert (line["kind"], line["about"]) == ("refund", NOTE)
    assert (line["amount_micros"], line["balance_micros"]) == (-5_000_000, 5_400_000)


def test_midnight_belongs_to_the_day_that_begins(make_member):
    member = make_member("0")
    midnight = datetime(2026, 4, 1, tzinfo=UTC)
    history.post(member.workspace_id, "grant", 5, midnight - timedelta(microseconds=1))
    history.post(member.workspace_id, "grant", 7, midnight)

    amounts = [
        [line["amount_micros"] for line in parts(whole(member, first=first, until=until))[1]]
        for first, until in [("2026-03-01", "2026-04-01"), ("2026-04-01", "2026-04-02")]
    ]
    assert amounts == [[5], [7]]


def test_today_begins_at_midnight_also_within_what_is_not_sealed(make_member):
    member = make_member("0")
    history.post(member.workspace_id, "grant", 5, timezone.now() - timedelta(days=2))
    midnight = files.midnight(timezone.now().date())
    history.post(member.workspace_id, "grant", 7, midnight - timedelta(seconds=1))
    grants.grant(wallet=member.now(), amount=11, key="just now", reason="")

    head, lines, _, closing = parts(whole(member, first=f"{midnight:%Y-%m-%d}"))

    assert head["opening_balance_micros"] == 12
    assert [line["amount_micros"] for line in lines] == [11]
    assert closing["closing_balance_micros"] == 23


def test_a_statement_goes_on_while_the_wallet_does(carol):
    """What is posted after the cut is in the next statement."""
    cut = files.cut(carol.workspace_id, first=date(2026, 3, 1))
    grants.grant(wallet=carol.now(), amount=7, key="meanwhile", reason="")
    sealing.seal(carol.workspace_id, now=timezone.now() + timedelta(minutes=2))

    text = "".join(files.pages(cut, Csv()))

    assert verify(text).is_good
    assert parts(text)[3]["closing_position"] == 9


@pytest.mark.parametrize(
    ("first", "until", "words"),
    [
        (date(2026, 3, 2), date(2026, 3, 2), "must begin before it ends"),
        (date(2026, 3, 2), date(2026, 3, 1), "must begin before it ends"),
        (date(9999, 1, 1), None, "must begin before it ends"),
        (date(2026, 3, 2), date(9999, 1, 1), "ends in the future"),
    ],
)
def test_a_period_that_is_none_is_refused(carol, first, until, words):
    with pytest.raises(InvalidRequest, match=words):
        files.cut(carol.workspace_id, first=first, until=until)


def test_nobody_has_no_statement(db):
    with pytest.raises(NotFound):
        files.cut("01234567-89ab-cdef-0123-456789abcdef", first=date(2026, 3, 1))


@pytest.mark.slow
def test_a_statement_of_many_lines_needs_the_memory_of_a_page(make_member):
    member = make_member("0")
    history.many_calls(member.workspace_id, 20_000)
    cut = files.cut(member.workspace_id, first=date(2026, 1, 1))

    tracemalloc.start()
    size = sum(len(page) for page in files.pages(cut, Json()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size > 5_000_000
    assert peak < 4_000_000


# --- Whatever is changed in a file, it is found and named ---------------------------------------


def meaning(text):
    """What a file says, read by other means than ours; None if it is no such file at all."""
    text = text.removeprefix("\ufeff")
    try:
        if text.lstrip().startswith("{"):
            return repr(json.loads(text, object_pairs_hook=list))
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        filled = (
            row[: max((n for n, cell in enumerate(row, 1) if cell), default=0)] for row in rows
        )
        return repr([row for row in filled if row])
    except (ValueError, csv.Error):
        return None


def is_caught(text, changed):
    verdict = verify(changed)
    return verdict.is_good == (meaning(changed) == meaning(text))


@pytest.fixture(scope="module")
def originals():
    """Statements of a module's own, made once: Hypothesis changes them many times."""
    return {}


@pytest.fixture
def original(request, originals, carol):
    form, first, until = request.param
    if request.param not in originals:
        originals[request.param] = whole(carol, form, first=first, until=until)
    return originals[request.param]


KINDS_OF_FILES = [
    ("csv", "2026-03-01", None),
    ("json", "2026-03-01", None),
    ("csv", "2026-04-01", "2026-05-01"),
    ("json", "2026-04-01", "2026-05-01"),
    ("csv", "2026-03-15", "2026-04-01"),
    ("json", "2026-03-15", "2026-04-01"),
]
every_file = pytest.mark.parametrize(
    "original", KINDS_OF_FILES, indirect=True, ids=[" ".join(map(str, k)) for k in KINDS_OF_FILES]
)
often = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.slow
@every_file
def test_every_single_character_counts(original):
    """Each digit made another digit, each other character made an x: every one is caught."""
    for n, mark in enumerate(original):
        other = str((int(mark) + 1) % 10) if mark in "0123456789" else "x"
        changed = original[:n] + other + original[n + 1 :]
        assert is_caught(original, changed), (n, original[max(0, n - 30) : n + 30])
        if mark in "0123456789":
            assert not verify(changed).is_good


@every_file
@pytest.mark.parametrize("put", [" ", "\t", "\r", "\n", "\r\n", "\n ", "\x0b", "\x85", "\u2028"])
def test_what_stands_before_it_is_a_space_or_no_statement(original, put):
    assert is_caught(original, put + original)
    assert is_caught(original, original + put)


@pytest.mark.slow
@often
@every_file
@given(data=st.data())
def test_no_edit_of_the_text_goes_unnoticed(original, data):
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 80)))
    put = data.draw(st.text(max_size=12) | st.sampled_from(["0", "-", " ", "\n", '"', ",", "1e3"]))

    assert is_caught(original, original[:start] + put + original[end:])


@often
@every_file
@given(data=st.data())
def test_no_line_is_removed_doubled_moved_or_swapped(original, data):
    rows = original.split("\n")
    a, b = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(rows) - 1))
    how = data.draw(st.sampled_from(["remove", "double", "move", "swap", "cut"]))
    if how == "remove":
        del rows[a]
    elif how == "double":
        rows.insert(b, rows[a])
    elif how == "move":
        rows.insert(b, rows.pop(a))
    elif how == "swap":
        rows[a], rows[b] = rows[b], rows[a]
    else:
        del rows[a:]

    assert is_caught(original, "\n".join(rows))


@often
@given(data=st.data())
@pytest.mark.parametrize(
    "original", [("json", "2026-03-01", None), ("json", "2026-04-01", "2026-05-01")], indirect=True
)
def test_no_value_is_replaced_in_the_object(original, data):
    """Edits that keep the file well-formed: of any value, line, total, of head and closing."""
    document = json.loads(original)
    before = json.loads(original)
    part = data.draw(st.sampled_from(["statement", "lines", "totals", "closing"]))
    of = document[part]
    if isinstance(of, list):
        n = data.draw(st.integers(0, len(of) - 1))
        if data.draw(st.booleans()):
            del of[n]
            of = {}
        else:
            of = of[n]
    if of:
        name = data.draw(st.sampled_from(sorted(of)))
        of[name] = data.draw(
            st.integers(-(2**64), 2**64) | st.text(max_size=70) | st.sampled_from([None, 1.0, True])
            if data.draw(st.booleans())
            else st.just(of[name] + (1 if isinstance(of[name], int) else "0"))
        )

    same = repr(document) == repr(before)
    assert verify(json.dumps(document)).is_good == same


def test_a_file_that_a_spreadsheet_saved_again_is_still_good(carol):
    text = whole(carol)
    rows = [row + [""] * (8 - len(row)) for row in csv.reader(io.StringIO(text, newline=""))]
    saved = io.StringIO()
    csv.writer(saved, quoting=csv.QUOTE_ALL).writerows(rows)

    assert verify("\ufeff" + saved.getvalue()).is_good
    assert verify(json.dumps(json.loads(whole(carol, "json")), indent=4)).is_good


NAMED = {
    "a digit of an amount": (lambda rows: swap(rows, 11, "-60000", "-50000"), 12, "content"),
    "a running balance": (lambda rows: swap(rows, 11, "10440000", "10450000"), 12, "is not"),
    "a line removed": (lambda rows: rows[:11] + rows[12:], 12, "removed, added or moved"),
    "two lines swapped": (
        lambda rows: [*rows[:10], rows[11], rows[10], *rows[12:]],
        11,
        "removed, added or moved",
    ),
    "a line doubled": (lambda rows: [*rows[:11], rows[10], *rows[11:]], 12, "removed, added"),
    "a total": (lambda rows: swap(rows, 19, "total,call,3", "total,call,4"), 20, "total of call"),
    "an anchor": (lambda rows: swap(rows, 7, "0000", "1000"), 8, "begins empty"),
    "the closing": (lambda rows: swap(rows, 25, ",5150000", ",5160000"), 29, "closing_balance"),
    "the workspace": (lambda rows: swap(rows, 1, "-", "a-"), 10, "content"),
}


def swap(rows, n, old, new):
    assert old in rows[n], rows[n]
    return [*rows[:n], rows[n].replace(old, new, 1), *rows[n + 1 :]]


@pytest.mark.parametrize("what", NAMED)
def test_what_was_changed_is_named_by_its_line(make_member, what):
    member = make_member("0")
    for kind, amount, at, _ in DAYS:
        history.post(member.workspace_id, kind, amount, day(at))
    change, where, words = NAMED[what]

    verdict = verify("\n".join(change(whole(member).split("\n"))))

    assert any(line == where and words in sentence for line, sentence in verdict.problems), (
        verdict.text()
    )


@pytest.fixture
def run_alone(tmp_path):
    """Run the verifier as an accountant does: two files, and nothing but Python."""
    (tmp_path / "credits" / "statements").mkdir(parents=True)
    for name in ("chain.py", "forms.py"):
        file = Path("credits", "statements", name)
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())

    def run(file):
        command = [sys.executable, "-S", "-B", "-m", "credits.statements.chain", file]
        return subprocess.run(
            command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.system
@pytest.mark.parametrize("form", FORMS)
def test_it_runs_alone_with_a_verdict_and_a_status(carol, tmp_path, run_alone, form):
    file = tmp_path / "statement"
    file.write_text(whole(carol, form), newline="")
    good = run_alone(file)
    file.write_text(whole(carol, form).replace("-60000", "-60001"), newline="")
    bad = run_alone(file)

    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("INTACT: workspace ")
    assert "opening $0.000000 + 9 lines = closing $5.150000" in good.stdout
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.startswith("ALTERED or damaged:\nline ")
    assert run_alone(tmp_path / "nothing").returncode == 2


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b"\xff\xfe\x00", b'"', b"a,b\n" * 9, b"{}"])
def test_rubbish_is_no_statement(tmp_path, rubbish):
    file = tmp_path / "rubbish"
    file.write_bytes(rubbish)

    with file.open(encoding="utf-8-sig", newline="") as source:
        assert not chain.verify(source).is_good


# --- A statement beside the books ---------------------------------------------------------------


def compare(text):
    return files.compare(io.StringIO(text, newline=""))


@pytest.mark.parametrize("form", FORMS)
def test_the_books_say_the_same(carol, form):
    grants.grant(wallet=carol.now(), amount=7, key="just now", reason="")

    for first, until in [("2026-03-01", None), ("2026-04-01", "2026-05-01")]:
        assert compare(whole(carol, form, first=first, until=until)).is_good


def forged(text, change):
    """Rewrite a statement with every hash made anew: it verifies, by itself."""
    head, lines, _, closing = parts(text)
    lines = [dict(line) for line in lines]
    head, lines = change(head, lines)
    before, balance = head["opening_hash"], head["opening_balance_micros"]
    sums = chain.Sums()
    for n, line in enumerate(lines, head["opening_position"] + 1):
        balance += line["amount_micros"]
        line.update(position=n, balance_micros=balance)
        line["hash"] = before = chain.link(before, head["workspace"], chain.Line(**line))
        sums.add(chain.Line(**line))
    totals = sums.totals()
    closing.update(
        closing_position=head["opening_position"] + len(lines),
        closing_balance_micros=balance,
        closing_hash=before,
    )
    closing["statement_hash"] = chain.seal_of(head, totals, closing)
    form = Csv()
    body = form.lines([files.Line(**line) for line in lines]) if lines else ""
    return form.head(head) + body + form.closing(totals, closing)


def test_a_forged_chain_verifies_alone_and_not_beside_the_books(carol):
    def cheaper(head, lines):
        lines[2]["amount_micros"] = -10_000
        return head, lines

    text = forged(whole(carol), cheaper)

    assert verify(text).is_good
    verdict = compare(text)
    assert verdict.problems == [(12, "position 3 is not what the books say.")]


CUT = {
    "at the end": lambda head, lines: (head, lines[:-1]),
    "all of it": lambda head, lines: (head, []),
    "a line that is not": lambda head, lines: (head, [*lines, {**lines[-1], "key": "call:no"}]),
    "the opening": lambda head, lines: ({**head, "opening_hash": "a" * 64}, lines),
    "the workspace": lambda head, lines: (
        {**head, "workspace": "01234567-89ab-cdef-0123-456789abcdef"},
        lines,
    ),
    "no workspace": lambda head, lines: ({**head, "workspace": "mine"}, lines),
}


@pytest.mark.parametrize("how", CUT)
def test_a_statement_that_was_cut_or_moved_is_not_that_of_the_books(carol, how):
    text = forged(whole(carol, first="2026-04-01", until="2026-05-01"), CUT[how])

    assert verify(text).is_good
    assert not compare(text).is_good


def test_a_statement_that_begins_too_late_is_not_that_of_the_books(carol):
    text = forged(
        whole(carol, first="2026-03-09", until="2026-05-01"),
        lambda head, lines: ({**head, "from": "2026-03-01T00:00:00.000000Z"}, lines),
    )

    assert verify(text).is_good
    assert "more lines at the beginning" in compare(text).text()
