"""What the role of the running programs may do in the database; all else is the owner's alone.

Two roles: the owner migrates, and the programs (web, workers, beat, commands) read and write rows.
What is booked is beyond the programs by grant, and not by triggers alone: whoever takes a web
process over still cannot change an entry, empty a table, or switch a trigger off.

A table that is not named here may be read and written; so one of a new migration works once
`manage.py grants` was given again, and one that must not change is named in the same commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import psycopg

READ: Final = frozenset({"SELECT"})
ADD: Final = READ | {"INSERT"}
KEEP: Final = ADD | {"UPDATE"}
ALL: Final = KEEP | {"DELETE"}
NEVER: Final = frozenset({"TRUNCATE", "REFERENCES", "TRIGGER"})
"""What no program does; the first would empty a table past every row's trigger."""

RIGHTS: Final = {
    "auth_permission": READ,
    "django_content_type": READ,
    "django_migrations": READ,
    # What is booked, proved or published stays as it was written.
    "credits_entry": ADD,
    "credits_seal": ADD,
    "credits_tally": ADD,
    "credits_daysum": ADD,
    "credits_proof": ADD,
    "prices_version": ADD,
    "credits_voucheruse": ADD,
    # Rows of money move forward, and are never taken away.
    "credits_account": KEEP,
    "credits_lot": KEEP,
    "credits_grantedleft": KEEP,
    "credits_freeze": KEEP,
    "credits_topup": KEEP,
    "credits_refund": KEEP,
    "credits_refundask": KEEP,
    "credits_dispute": KEEP,
    "credits_receivable": KEEP,
    "credits_adjustment": KEEP,
    "credits_voucher": KEEP,
    "credits_watermark": KEEP,
    "credits_cell": KEEP,
    "credits_move": KEEP,
    "usage_call": ADD,
    "audit_event": ADD | {"DELETE"},  # Its trigger keeps what is younger than 400 days.
}
COLUMNS: Final = {
    "usage_call": ("attempts", "project"),
    "audit_event": ("address", "agent", "reason"),
}
"""The only columns of a table that may be updated, where the table as a whole may not."""
FUNCTIONS: Final = ("usage_make_partitions(integer)", "proxy_empty_days()")
"""What does for the programs what they may not do themselves."""
STILL_NAMED: Final = ("proxy_answer",)
"""Partitions that programs of the version before use by their own name."""

TABLES: Final = """
SELECT relname::text FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
 ORDER BY relname
"""
PARTITIONS: Final = TABLES.replace("NOT relispartition", "relispartition")
ROLE: Final = """
SELECT rolsuper, pg_has_role(rolname, (SELECT relowner FROM pg_class
                                        WHERE oid = 'credits_entry'::regclass), 'MEMBER')
  FROM pg_roles WHERE rolname = %s
"""
HAS: Final = """
SELECT wanted.privilege FROM unnest(%(privileges)s::text[]) AS wanted (privilege)
 WHERE has_table_privilege(%(role)s, format('public.%%I', %(table)s::text), wanted.privilege)
"""
MAY_UPDATE: Final = """
SELECT attname::text FROM pg_attribute
 WHERE attrelid = format('public.%%I', %(table)s::text)::regclass AND attnum > 0
   AND NOT attisdropped
   AND has_column_privilege(%(role)s, attrelid, attnum, 'UPDATE')
"""
MAY_MAKE: Final = "SELECT has_schema_privilege(%s, 'public', 'CREATE')"
MAY_CALL: Final = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"


class Unfit(Exception):
    """The role cannot be one of programs; the message says why."""


def require_fit(db: psycopg.Connection[Any], role: str) -> None:
    """Raise Unfit unless the role exists and is neither a superuser nor the tables' owner."""
    found = db.execute(ROLE, [role]).fetchone()
    if found is None:
        raise Unfit(f"There is no role {role}: CREATE ROLE {role} LOGIN PASSWORD '...';")
    is_super, owns = found
    if is_super:
        raise Unfit(f"{role} is a superuser: nothing can be kept from it.")
    if owns:
        raise Unfit(f"{role} is, or may act as, the tables' owner: give programs another role.")


def statements(db: psycopg.Connection[Any], role: str) -> Iterator[sql.Composed]:
    """Yield what gives a role exactly the rights of programs, whatever it had before."""
    who = sql.Identifier(role)
    yield sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {}").format(who)
    yield sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(who)
    for table in (*_names(db, TABLES), *_names(db, PARTITIONS)):
        name = sql.Identifier("public", table)
        yield sql.SQL("REVOKE ALL ON {} FROM PUBLIC, {}").format(name, who)
    for table in _names(db, TABLES):
        name = sql.Identifier("public", table)
        rights = sql.SQL(", ").join(sql.SQL(each) for each in sorted(wanted(table)))
        yield sql.SQL("GRANT {} ON {} TO {}").format(rights, name, who)
        if columns := COLUMNS.get(table):
            named = sql.SQL(", ").join(map(sql.Identifier, columns))
            yield sql.SQL("GRANT UPDATE ({}) ON {} TO {}").format(named, name, who)
    for table in STILL_NAMED:
        rights = sql.SQL(", ").join(map(sql.SQL, sorted(ALL)))
        yield sql.SQL("GRANT {} ON {} TO {}").format(rights, sql.Identifier("public", table), who)
    for function in FUNCTIONS:
        yield sql.SQL("GRANT EXECUTE ON FUNCTION public.{} TO {}").format(sql.SQL(function), who)


def wanted(table: str) -> frozenset[str]:
    """Return what programs may do with the rows of a table."""
    return RIGHTS.get(table, ALL)


def differences(db: psycopg.Connection[Any], role: str) -> Iterator[str]:
    """Yield, in words, each right that a role lacks, and each that it has and must not have."""
    for table in _names(db, TABLES):
        given = {"privileges": sorted(ALL | NEVER), "role": role, "table": table}
        has = {row[0] for row in db.execute(HAS, given)}
        yield from (f"lacks {each} on {table}" for each in sorted(wanted(table) - has))
        yield from (f"has {each} on {table}" for each in sorted(has - wanted(table)))
        if "UPDATE" not in wanted(table) | has:
            may = {row[0] for row in db.execute(MAY_UPDATE, given)}
            needed = set(COLUMNS.get(table, ()))
            yield from (f"lacks UPDATE of {table}.{each}" for each in sorted(needed - may))
            yield from (f"has UPDATE of {table}.{each}" for each in sorted(may - needed))
    if _one(db, MAY_MAKE, role):
        yield "has CREATE on the schema"
    for function in FUNCTIONS:
        if not _one(db, MAY_CALL, role, f"public.{function}"):
            yield f"lacks EXECUTE on {function}"


def _names(db: psycopg.Connection[Any], query: str) -> list[str]:
    return [row[0] for row in db.execute(query)]


def _one(db: psycopg.Connection[Any], query: str, *parameters: str) -> bool:
    row = db.execute(query, parameters).fetchone()
    assert row is not None, "a SELECT of one value answers one row"
    return bool(row[0])
