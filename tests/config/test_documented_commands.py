"""Each command that a document names can be given: the program, its actions and its options."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

import dev

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / ".env.example",
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GIVEN = re.compile(
    r"(?:manage\.py|dev\.py manage|`platform|sudo (?:\S+=\S+ )?platform)"
    r" ([a-z_]+)((?: +(?:\\\n *)?[^\s`|;&()]+)*)"
)
OURS = re.compile(r"dev\.py +(?!manage\b)([a-z]+)((?: +--[a-z-]+)*)")


def named(pattern):
    """Return what of that form stands in the documents, and where it is first."""
    found = {}
    for file in DOCUMENTS:
        for program, words in pattern.findall(file.read_text()):
            found.setdefault((program, " ".join(words.split())), str(file.relative_to(ROOT)))
    return [pytest.param(*given, id=" ".join(given).strip()) for given in sorted(found)]


def actions_of(parser):
    subparsers = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return subparsers[0].choices if subparsers else {}


@pytest.mark.parametrize(("program", "words"), named(GIVEN))
def test_a_command_of_manage_is_there(program, words):
    apps = get_commands()
    assert program in apps
    parser = load_command_class(apps[program], program).create_parser("manage.py", program)
    options = set()
    for word in words.replace("\\", " ").split():
        actions = actions_of(parser)
        if word.startswith("--"):
            options.add(word.rstrip(".,:").partition("=")[0])
        elif actions and re.fullmatch(r"[a-z-]+[.,:]?", word):
            action = word.rstrip(".,:")
            assert action in actions, f"{program} has: {', '.join(actions)}"
            parser = actions[action]
    known = {text for each in parser._actions for text in each.option_strings}
    assert options <= known
    assert parser.format_help()


@pytest.mark.parametrize(("program", "options"), named(OURS))
def test_a_command_of_dev_is_there(program, options):
    """Its options stand in the program itself, or are pytest's and its plugin's."""
    assert program in dev.COMMANDS
    module = dev.COMMANDS[program][1]
    of_pytest = [ROOT / "tests" / "plugin.py", ROOT / "dev.py"]
    texts = [file.read_text() for file in (of_pytest if module == "pytest" else files_of(module))]
    for option in options.split():
        assert any(f'"{option}"' in text for text in texts), option


def files_of(module):
    """Return where a program's options can stand: its file, or those of its folder."""
    path = ROOT / module.replace(".", "/")
    return sorted(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def test_there_is_something_to_look_at():
    """Else a form that nobody writes any more would be looked for, and all would be well."""
    assert len(named(GIVEN)) >= 20
    assert len(named(OURS)) >= 6
