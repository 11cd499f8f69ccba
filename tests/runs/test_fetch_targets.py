"""Whither a file of a run may go."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidFileUrl
from runs.fetching import targets

URL = "https://example.org/a.png"


@pytest.fixture
def models(settings):
    settings.RUN_MODEL_FOLDERS = ["loras"]


@pytest.mark.parametrize(
    "path",
    ["/input/a.png", "input/a.png", "/input/faces/ünïcode ☃.png", "/input/a.b.c", "/input/..a",
     "/models/loras/x.safetensors", "/models/loras/sub/x.safetensors"],
)  # fmt: skip
def test_what_lies_below_input_or_a_folder_of_the_operators_is_taken(models, path):
    (wanted,) = targets.read({path: URL})

    assert wanted.path.strip("/") == path.strip("/")
    assert wanted.is_model is ("models" in path)


@pytest.mark.parametrize(
    "path",
    ["", "/", "//", "/input", "/input/", "/input//a", "/input/../a", "/input/a/..", "/input/./a",
     "/input/a/", "../input/a", "/output/a.png", "/temp/a.png", "/etc/passwd", "//etc/passwd",
     "/Input/a.png", "/models/a.safetensors", "/models/checkpoints/a.safetensors", "/models/loras",
     "/models/loras/", "/models/../input/a", "C:/input/a", "/input/C:/a", "/input/a:b",
     "/input\\a", "/input/a\\..\\b", "/input/a\0.png", "/input/a\n", "/input/\x7f",
     "/input/a\u202eb",
     "/input/a\u200b", "/input/\ud800", "/input/ a", "/input/a ", "/input/a.", "/input/a./b",
     "/input/con", "/input/NUL.png", "/input/com1.txt/a", "/input/a?b", "/input/*", "/input/~a",
     "/input/<a>", "/input/e\u0301.png", "/input/" + "a" * 201, "/input/" + "ü" * 101,
     "/input/" + "/".join("a" * 12), "/input/a.png [output]", "/input/x [temp]/a.png [TEMP] "],
)  # fmt: skip
def test_what_could_lead_elsewhere_is_refused(models, path):
    with pytest.raises(InvalidFileUrl):
        targets.read({path: URL})


@pytest.mark.parametrize(
    "files",
    [["/input/a"], "x", None, {"/input/a": 1}, {"/input/a": None},
     {"/input/a": URL, "/input/A": URL}, {"/input/a": URL, "input/a": URL},
     {"/input/a": URL, "/input/a/b": URL}, {"/input/straße": URL, "/input/STRASSE": URL},
     {f"/input/{n}": URL for n in range(21)}, {"/input/a": "https://127.0.0.1/"},
     {"/input/a": "http://example.org/"}],
)  # fmt: skip
def test_a_map_that_cannot_be_fetched_is_refused_in_a_sentence(files):
    with pytest.raises(InvalidFileUrl, match="files: ") as refused:
        targets.read(files)

    assert refused.value.status == 422
    assert refused.value.code == "invalid_file_url"


@settings(deadline=None)
@given(st.text(max_size=40))
def test_whatever_is_written_stays_below_its_folder_or_is_refused(text):
    try:
        (wanted,) = targets.read({"/input/" + text: URL})
    except InvalidFileUrl:
        return
    assert wanted.names[0] == "input"
    assert not {"", ".", ".."} & set(wanted.names)
    assert not any(letter in name for name in wanted.names for letter in "/\\:\0")
