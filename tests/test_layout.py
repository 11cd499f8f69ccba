"""What the folders promise."""

import subprocess
import sys
import sysconfig
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


def test_only_the_books_write_sql_on_holds():
    """Whoever else needs something of an open hold uses a named statement of books/holds.py."""
    product = ("platform", "common", "outbox", "credits", "accounts", "apikeys", "usage", "proxy")
    files = {path for app in product for path in (ROOT / app).rglob("*.py")}
    named = {str(path.relative_to(ROOT)) for path in files if "credits_hold" in path.read_text()}
    others = {path for path in named if "/migrations/" not in path}

    assert others == {
        "credits/books/holds.py",
        "credits/books/batches.py",
        "credits/proofs/reconciliation.py",  # It proves the books, so it looks for itself.
    }
