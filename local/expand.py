"""Migrations that a running installation can take: expand, deploy, contract. `dev.py check` asks.

While a version is rolled out, web processes of the one before run on the new schema, and calls go
on. So a migration is refused that

- takes away or renames what the version before uses, unless it says `contracts = "<why>"`;
- adds a column that the version before cannot leave out (neither null nor with a db_default);
- locks a table that every call touches for as long as it is large: an index or a constraint made in
  one step, a column's type changed, a foreign key, a rewrite;
- mixes what runs CONCURRENTLY with anything else, or has SQL or Python without a way back.

A model that the same migration makes is nobody's yet: with it anything may be done. What was there
before these rules is listed in `migrations_before.txt`, and is not looked at again.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.db.migrations import operations as ops
from django.db.migrations.operations.base import Operation
from django.db.models import UniqueConstraint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.migrations import Migration

ROOT = Path(__file__).resolve().parent.parent
BEFORE = Path(__file__).with_name("migrations_before.txt")
HOT: Final = frozenset(
    {
        "credits.account", "credits.hold", "credits.entry", "credits.budget", "usage.call",
        "proxy.answer", "proxy.job", "proxy.repeat", "apikeys.apikey", "apikeys.pace",
        "accounts.user", "accounts.membership",
    }
)  # fmt: skip
"""Models whose table every call, or every request, reads or writes."""
CONCURRENT: Final = {"AddIndexConcurrently", "RemoveIndexConcurrently"}
TAKING: Final = (ops.RemoveField, ops.DeleteModel, ops.RenameField, ops.RenameModel,
                 ops.AlterModelTable)  # fmt: skip
SQL_TAKING: Final = re.compile(r"\b(DROP\s+(TABLE|COLUMN|FUNCTION)|RENAME\s+(TO|COLUMN))\b", re.I)
SQL_LOCKING: Final = (
    (r"\bCREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)", "an index is made CONCURRENTLY"),
    (r"\bALTER\s+COLUMN\s+\S+\s+(SET\s+DATA\s+)?TYPE\b", "a column's type is not changed"),
    (r"\bSET\s+NOT\s+NULL\b", "NOT NULL is a CHECK that is NOT VALID first"),
    (r"\bADD\s+CONSTRAINT\b(?!.*\bNOT\s+VALID\b)", "a constraint is added NOT VALID first"),
    (
        r"\b(LOCK\s+TABLE|VACUUM\s+FULL|CLUSTER|REINDEX\s+(?!.*CONCURRENTLY))\b",
        "no table is locked",
    ),
)


def check() -> tuple[bool, str]:
    """Return whether every migration since keeps the rules, and what does not."""
    found = [
        f"{name}: {wrong}"
        for name, migration in sorted(ours())
        if name not in before()
        for wrong in problems(migration)
    ]
    return not found, "\n".join(found)


def before() -> set[str]:
    """Return the migrations that were there before these rules."""
    return set(BEFORE.read_text().split())


def ours() -> Iterator[tuple[str, Migration]]:
    """Yield each migration of a package of this project, by app and name."""
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        folder = Path(apps.get_app_config(app).path)
        if folder.is_relative_to(ROOT) and ".venv" not in folder.parts:
            yield f"{app}.{name}", migration


def problems(migration: Migration) -> Iterator[str]:
    """Yield what a running installation could not take."""
    contracts = getattr(migration, "contracts", "")
    made: set[str] = set()
    steps = list(_flat(migration.operations))
    for each in steps:
        if isinstance(each, ops.CreateModel):
            made.add(f"{migration.app_label}.{each.name}".lower())
        elif _model(migration, each) not in made:
            yield from _of_one(migration, each, contracts)
    names = {type(each).__name__ for each in steps}
    if names & CONCURRENT and (names - CONCURRENT or migration.atomic):
        yield "what runs CONCURRENTLY has a migration of its own, with atomic = False"
    if contracts and any(isinstance(each, ops.AddField | ops.CreateModel) for each in steps):
        yield "what contracts adds nothing: those are two releases"


def _flat(operations: Sequence[Operation]) -> Iterator[Operation]:
    for each in operations:
        if isinstance(each, ops.SeparateDatabaseAndState):
            yield from _flat(each.database_operations)
        else:
            yield each


def _model(migration: Migration, operation: Any) -> str:
    name = getattr(operation, "model_name", None) or getattr(operation, "name", None) or ""
    return f"{migration.app_label}.{name}".lower()


def _of_one(migration: Migration, operation: Any, contracts: str) -> Iterator[str]:
    model = _model(migration, operation)
    said = operation.describe()
    if isinstance(operation, TAKING) and not contracts:
        yield f"{said}: the version before uses it (say in `contracts` since when nobody does)"
    if isinstance(operation, ops.AddField):
        yield from _of_field(operation.field, said, is_hot=model in HOT)
    if isinstance(operation, ops.RunSQL):
        yield from _of_sql(str(operation.sql), contracts)
        if operation.reverse_sql is None:
            yield f"{said}: has no way back"
    if isinstance(operation, ops.RunPython) and operation.reverse_code is None:
        yield f"{said}: has no way back"
    if model not in HOT:
        return
    if isinstance(operation, ops.AlterField):
        yield f"{said}: a column of {model} is not altered in place; add another, and fill it"
    if type(operation) is ops.AddIndex:
        yield f"{said}: on {model} by AddIndexConcurrently"
    if type(operation) is ops.AddConstraint:
        is_unique = isinstance(operation.constraint, UniqueConstraint)
        how = "a unique index made CONCURRENTLY" if is_unique else "AddConstraintNotValid"
        yield f"{said}: on {model} by {how}, then ValidateConstraint or USING INDEX"


def _of_field(field: Any, said: str, *, is_hot: bool) -> Iterator[str]:
    is_many = getattr(field, "many_to_many", False)
    if not (is_many or field.null or field.has_db_default()):
        yield f"{said}: the version before writes rows without it (null, or a db_default)"
    if is_hot and field.remote_field is not None and not is_many and field.db_constraint:
        yield f"{said}: its foreign key locks both tables (db_constraint=False)"
    if is_hot and (field.unique or field.db_index):
        yield f"{said}: its index is made while all wait; add it CONCURRENTLY afterwards"


def _of_sql(sql: str, contracts: str) -> Iterator[str]:
    made = {name.lower() for name in re.findall(r"\bCREATE\s+TABLE\s+(\w+)", sql, re.IGNORECASE)}
    for statement in _statements(sql):
        words = " ".join(statement.split())
        if SQL_TAKING.search(words) and not contracts:
            yield f"{words[:60]}: the version before uses it (say in `contracts` since when not)"
        if any(re.search(rf"\b{name}\b", words, re.IGNORECASE) for name in made):
            continue
        if any(re.search(rf"\b{table}\b", words, re.IGNORECASE) for table in _hot_tables()):
            for pattern, rule in SQL_LOCKING:
                if re.search(pattern, words, re.IGNORECASE):
                    yield f"{words[:60]}: {rule}"


def _statements(sql: str) -> list[str]:
    """Return the statements of a text, bodies of functions left out: those run later."""
    plain = re.sub(r"\$(\w*)\$.*?\$\1\$", "", re.sub(r"--[^\n]*", "", sql), flags=re.DOTALL)
    return [each for each in plain.split(";") if each.strip()]


def _hot_tables() -> list[str]:
    return [model.replace(".", "_") for model in HOT]


def main() -> int:
    """Look at all; `--accept` lists what is there as from before (before a first release)."""
    import django

    django.setup()
    if sys.argv[1:] == ["--accept"]:
        BEFORE.write_text("".join(f"{name}\n" for name, _ in sorted(ours(), key=lambda x: x[0])))
    good, said = check()
    print(said or "All migrations can be taken by what runs.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
