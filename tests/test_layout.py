"""What the folders promise."""

import subprocess
import sys
import sysconfig
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_platform_folder_is_no_package():
    """With an `__init__.py` it would hide the standard library's module from everybody."""
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_import_platform_is_the_standard_librarys():
    code = "import platform; print(platform.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert Path(found.stdout.strip()).parent == Path(sysconfig.get_path("stdlib"))


def test_the_lock_names_no_address():
    assert "://" not in (ROOT / "requirements.lock").read_text()


def test_test_folders_are_no_packages():
    """A package `sandbox` below tests would hide ours."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_file_of_tests_has_a_name_of_its_own():
    """Their folders are no packages: of two with one name, the second is not collected."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("*.py"))
    assert [name for name, times in names.items() if times > 1 and name != "conftest.py"] == []


def test_only_the_books_write_sql_on_holds():
    """Whoever else needs something of an open hold uses a named statement of books/holds.py."""
    product = (
        "platform", "common", "outbox", "webhooks", "credits", "accounts", "apikeys", "usage",
        "prices",
        "uploads", "proxy", "privacy", "runs",
    )  # fmt: skip
    files = {path for app in product for path in (ROOT / app).rglob("*.py")}
    named = {str(path.relative_to(ROOT)) for path in files if "credits_hold" in path.read_text()}
    others = {path for path in named if "/migrations/" not in path}

    assert others == {
        "credits/books/holds.py",
        "credits/books/batches.py",
        "credits/proofs/reconciliation.py",  # It proves the books, so it looks for itself.
        "runs/reconciliation.py",
    }


def test_each_app_is_packed_into_the_wheel_and_knows_its_place_among_the_others():
    """One that is forgotten is missed by whoever installs it, and by nobody before."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    apps = {path.parent.name for path in ROOT.glob("*/apps.py")}
    product = {"config", "common", *apps}
    packed = {Path(name).name for name in told["hatch"]["build"]["targets"]["wheel"]["packages"]}

    assert len(apps) >= 6
    assert packed == product
    assert set(told["importlinter"]["root_packages"]) == product
