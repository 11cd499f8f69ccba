"""Margins, and vendors' exports brought in: at the pages of staff, as JSON, and from a shell."""

import json
import uuid
from io import StringIO

import pytest
from call_rows import call_of
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.models import Event
from prices.models import Bill
from usage import sums


def uploaded(member, text, **form):
    file = SimpleUploadedFile("costs.csv", text.encode(), content_type="text/csv")
    given = {"vendor": "bfl", "file": file, "dollars": "1", "reason": "of November"} | form
    return member.post("margin/export", **given)


@pytest.fixture
def tag(alice):
    """Two calls of Alice's, of which a vendor tells by what begins so."""
    name = uuid.uuid4().hex
    for each in ("a", "b"):
        call_of(alice, vendor_request_id=f"{name}-{each}")
    sums.catch_up(alice.workspace_id)
    return name


def test_a_file_is_brought_in_matched_and_shown_as_a_page_and_as_json(fay, axel, tag):
    answer = uploaded(fay, f"id,cost\n{tag}-a,3\n{tag}-b,9\n{tag}-x,1\n", dollars="0.01")
    assert answer.status_code == 302, answer.content.decode()
    bill = Bill.objects.get(by=fay.user.pk)
    assert answer["Location"] == f"/staff/margin/exports/{bill.pk}"

    said = axel.text(f"margin/exports/{bill.pk}")
    told = axel.get(f"margin/exports/{bill.pk}?format=json").json()
    different = axel.text(f"margin/exports/{bill.pk}?verdict=different")

    assert f"{tag}-x" in said  # What is missing is shown first.
    assert f"{tag}-b" in different
    verdicts = {each["request"]: each["verdict"] for each in told["requests"]}
    assert verdicts == {
        f"{tag}-a": "matched", f"{tag}-b": "different", f"{tag}-x": "missing",
    }  # fmt: skip
    assert told["verdicts"]["missing"] == {"requests": 1, "micros": 10_000}
    assert told["after"] is None
    assert Event.objects.filter(action="bill.brought_in", target=str(bill.pk)).exists()
    assert "requests that are not among our calls" in axel.text("events")


def test_margins_are_shown_by_vendor_and_by_day_and_as_json(fay, axel, tag):
    uploaded(fay, f"id,cost\n{tag}-a,0.03\n{tag}-b,0.09\n")

    said = axel.text("margin?vendor=bfl")
    (day,) = axel.get("margin?vendor=bfl&format=json").json()["days"]

    assert "By day" in said
    assert (day["vendor"], day["known"], day["cost"]) == ("bfl", 2, 120_000)
    assert day["margin"] == day["known_charged"] - 120_000 < 0
    assert "By day" not in axel.text("margin")


@pytest.mark.parametrize(
    ("text", "form", "sentence"),
    [
        ("a,b\n1,2\n", {}, "There is no column"),
        ("id,cost\nx,?\n", {}, "Line 2: the cost"),
        ("id,cost\nx,1\n", {"cost": "usd_total"}, "no column usd_total"),
        ("id,cost\nx,1\n", {"dollars": "0"}, "greater than or equal"),
        ("id,cost\nx,1\n", {"dollars": "NaN"}, "Enter a number"),
        ("id,cost\nx,1\n", {"vendor": "nobody"}, "Select a valid choice"),
        ("id,cost\nx,1\n", {"reason": ""}, "required"),
        ("", {}, "empty"),
    ],
)
def test_an_odd_file_is_refused_in_the_form_with_a_sentence(fay, text, form, sentence):
    before = Bill.objects.count()

    answer = uploaded(fay, text, **form)

    assert (answer.status_code, sentence in answer.content.decode()) == (400, True)
    assert Bill.objects.count() == before


def test_the_same_file_again_is_refused_and_says_where_it_is(fay, tag):
    uploaded(fay, f"id,cost\n{tag}-a,0.03\n")

    again = uploaded(fay, f"id,cost\n{tag}-a,0.03\n")

    assert (again.status_code, b"brought in before: it is export" in again.content) == (400, True)


def test_who_only_reads_brings_nothing_in(sam, axel):
    for member in (sam, axel):
        assert uploaded(member, "id,cost\nx,1\n").status_code == 403
        assert member.get("margin").status_code == 200


@pytest.mark.parametrize(
    "query", ["from=2020-01-01", "from=yesterday", "from=2026-11-28&to=2026-11-01"]
)
def test_odd_days_are_refused_as_a_page(axel, query):
    assert axel.get(f"margin?{query}").status_code == 400


def test_a_shell_brings_in_a_file_of_any_length_and_tells_margins(fay, tag, tmp_path):
    file = tmp_path / "november.csv"
    file.write_text(f"task;price\n{tag}-a;3\n{tag}-b;4\n")
    by, out = ("--by", fay.user.email, "--reason", "the bill"), StringIO()
    columns = ("--request", "task", "--cost", "price", "--dollars", "0.01")

    call_command("prices", "import", "bfl", str(file), *columns, *by, "--json", stdout=out)

    told = json.loads(out.getvalue())
    assert (told["lines"], told["verdicts"]["matched"]) == (2, 2)
    out = StringIO()
    call_command("prices", "margin", "--days", "1", "--vendor", "bfl", "--json", stdout=out)
    assert [each["cost"] for each in json.loads(out.getvalue())] == [70_000]
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("prices", "import", "bfl", str(tmp_path / "none"), *by)
    with pytest.raises(CommandError, match="no vendor"):
        call_command("prices", "import", "nobody", str(file), *by)
