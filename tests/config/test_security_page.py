"""docs/security.md names tests that are there, for every risk that it must speak of."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", PAGE)))
LINES = [line for line in PAGE.splitlines() if re.match(r"\| (API|V)\d", line)]


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_named_test_is_there(file, test):
    text = (ROOT / file).read_text()

    assert re.search(rf"^(async )?def {test or 'test_'}", text, re.MULTILINE)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split()[1])
def test_each_line_has_a_test_or_does_not_apply(line):
    assert "`tests/" in line or line.endswith("| does not apply |")


def test_every_risk_and_every_chapter_has_a_line():
    begun = {re.match(r"\| ((?:API|V)\d+)", line)[1] for line in LINES}

    assert begun == {f"API{n}" for n in range(1, 11)} | {f"V{n}" for n in range(1, 18)}
