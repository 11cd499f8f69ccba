"""A locked version with a vulnerability that nobody thought about is refused, without a network."""

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local import advisories, osv
from local.osv import Taken

DAY = date(2026, 11, 1)
ONE = {
    "id": "PYSEC-1",
    "aliases": ["CVE-1"],
    "summary": "It gives itself away.",
    "modified": "2026-10-31T10:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Some.Thing"},
            "ranges": [
                {"type": "GIT", "events": [{"introduced": "abc"}]},
                {
                    "type": "ECOSYSTEM",
                    "events": [{"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"},
                               {"last_affected": "2.4"}],
                },
            ],
            "versions": ["1.1", "3.0.post1"],
        },
        {"package": {"ecosystem": "npm", "name": "some-thing"}, "versions": ["9"]},
    ],
}  # fmt: skip
YAML = """
id: PYSEC-2
modified: 2026-09-30T10:00:00Z
details: |
  One line says what it is.
  Another says more.
affected:
- package: {ecosystem: PyPI, name: some-thing}
  versions: ["7.0"]
"""


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """Have a lock and a file of advisories of our own; return how to write both."""
    monkeypatch.setattr(advisories, "ROOT", tmp_path)
    monkeypatch.setattr(advisories, "LOCKS", ("requirements.lock",))
    monkeypatch.setattr(advisories, "FILE", tmp_path / "advisories.json")

    def write(version="5.0", *, of=(ONE,), on=DAY, names=("some-thing",)):
        (tmp_path / "requirements.lock").write_text(f"some-thing=={version} \\\n  --hash=x\n")
        taken = osv.taken(list(of), list(names), on=on, source="x")
        advisories.write(taken, advisories.FILE)

    write()
    return write


@pytest.fixture
def service():
    """A service of OSV's format, on the far side of the wire; `says` is what it answers."""

    class Service(BaseHTTPRequestHandler):
        says, asked = [{"vulns": [ONE]}], []

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.asked.append(asked)
            said = self.says[int(asked.get("page_token", 0))]
            self.send_response(said if isinstance(said, int) else 200)
            self.end_headers()
            if not isinstance(said, int):
                self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Service.url = f"http://127.0.0.1:{server.server_port}"
    yield Service
    server.shutdown()
    server.server_close()


def test_the_products_own_locks_are_held_against_the_products_own_file():
    good, said = advisories.check()

    assert good, said


@pytest.mark.parametrize(
    ("version", "is_affected"),
    [
        ("0.0.0b1", True), ("1.1", True), ("1.2rc1", True), ("1.2", False), ("1.9", False),
        ("2.0", True), ("2.4", True), ("2.4.1", False), ("3.0", False), ("3.0.post1", True),
    ],
)  # fmt: skip
def test_a_version_within_a_range_or_named_is_affected(locked, version, is_affected):
    locked(version)

    good, said = advisories.check(DAY)

    assert good is not is_affected
    line = f"some-thing {version}: PYSEC-1 (CVE-1) It gives itself away.; fixed in 1.2"
    assert said == (line if is_affected else "")


def test_what_cannot_be_compared_counts_as_affected(locked):
    odd = {**ONE, "affected": [{"package": {"ecosystem": "PyPI", "name": "some-thing"},
                                "versions": ["first-of-all"]}]}  # fmt: skip
    locked(of=[odd])

    assert not advisories.check(DAY)[0]


def test_what_is_accepted_has_a_reason_and_goes_when_it_concerns_nothing_any_more(
    locked, monkeypatch
):
    monkeypatch.setitem(advisories.ACCEPTED, "PYSEC-1", "We never call it.")
    locked("1.1")
    assert advisories.check(DAY) == (True, "")

    locked("5.0")
    good, said = advisories.check(DAY)
    assert not good
    assert "PYSEC-1 is accepted, and concerns nothing any more" in said


def test_what_was_withdrawn_is_no_advisory(locked):
    locked("1.1", of=[{**ONE, "withdrawn": "2026-10-31T11:00:00Z"}])

    assert advisories.check(DAY) == (True, "")


def test_an_old_file_a_missing_one_and_an_unknown_package_are_warned_of(locked):
    assert advisories.check(date(2026, 12, 31)) == (True, "")
    good, said = advisories.check(date(2027, 1, 1))
    assert good
    assert said.startswith("warning: the advisories are 61 days old")

    locked(names=["another"])
    assert "none were taken of some-thing" in advisories.check(DAY)[1]

    advisories.write(Taken(), advisories.FILE)
    good, said = advisories.check(DAY)
    assert good
    assert said.startswith("warning: no advisories were ever taken")


def test_a_service_is_asked_of_each_package_page_by_page(locked, service, capsys):
    advisories.write(Taken(), advisories.FILE)
    service.says = [{"vulns": [ONE], "next_page_token": "1"}, {"vulns": [{**ONE, "id": "B"}]}]

    assert advisories.main(["--service", service.url, "--file", str(advisories.FILE)]) == 0

    taken = advisories.read(advisories.FILE)
    assert [each["id"] for each in taken.advisories] == ["B", "PYSEC-1"]
    assert taken.packages == ["some-thing"]
    assert service.asked[0] == {"package": {"name": "some-thing", "ecosystem": "PyPI"}}
    assert taken.advisories[0]["affected"][0]["versions"] == ["3.0.post1"]
    assert "2 advisories of 1 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (503, "answers 503"),
        (b"<html>", "no answer that can be read"),
        (b"[]", "can be read"),
        ({"vulns": [{"id": 1, "affected": [{"package": {"ecosystem": "PyPI"}}]}]}, "OSV's format"),
        ({"vulns": [{}]}, "not of OSV's format"),
    ],
)
def test_a_service_that_does_not_serve_is_one_line_and_changes_nothing(
    locked, service, capsys, said, why
):
    before, service.says = advisories.FILE.read_text(), [said]

    assert advisories.main(["--service", service.url, "--file", str(advisories.FILE)]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert why in line
    assert line.endswith("advisories.json is left as it is.")
    assert advisories.FILE.read_text() == before


def test_nobody_there_is_one_line(locked, capsys):
    assert advisories.main(["--service", "http://127.0.0.1:1"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert "http://127.0.0.1:1 cannot be reached" in line


def test_a_folder_is_as_old_as_its_newest_change(locked, tmp_path):
    folder = tmp_path / "vulns" / "some-thing"
    folder.mkdir(parents=True)
    (folder / "PYSEC-1.json").write_text(json.dumps(ONE))
    (folder / "PYSEC-2.yaml").write_text(YAML)

    words = ["--from", str(folder.parent), "--file", str(advisories.FILE)]
    assert advisories.main(words) == 0

    taken = advisories.read(advisories.FILE)
    assert taken.on == date(2026, 10, 31)
    assert taken.advisories[1]["summary"] == "One line says what it is."
    (tmp_path / "requirements.lock").write_text("some-thing==7.0\n")
    assert advisories.check(DAY)[1].startswith("some-thing 7.0: PYSEC-2 One line says what it is.")


def test_a_folder_without_any_is_no_source(locked, tmp_path, capsys):
    assert advisories.main(["--from", str(tmp_path / "nowhere")]) == 1
    assert "holds no advisories" in capsys.readouterr().err
