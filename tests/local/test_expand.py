"""Each thing that a running installation could not take is refused in a migration."""

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import models
from django.db.migrations import Migration
from django.db.migrations import operations as ops

from local import expand

INDEX = models.Index(fields=["kind"], name="one")
CHECK = models.CheckConstraint(name="one", condition=models.Q(kind="x"))
NOTHING = ops.RunPython.noop


def of(*operations, app="credits", atomic=True, contracts=""):
    made = Migration("0999_of_a_test", app)
    made.operations, made.atomic = list(operations), atomic
    if contracts:
        made.contracts = contracts
    return list(expand.problems(made))


def sql(text, **more):
    return of(ops.RunSQL(text, ops.RunSQL.noop), **more)


REFUSED = {
    "a column that must be given": ops.AddField("refund", "one", models.IntegerField(default=1)),
    "a column less": ops.RemoveField("refund", "reason"),
    "a table less": ops.DeleteModel("Refund"),
    "another name of a column": ops.RenameField("refund", "reason", "why"),
    "another name of a table": ops.RenameModel("Refund", "Back"),
    "another table": ops.AlterModelTable("Refund", "back"),
    "a type": ops.AlterField("entry", "kind", models.TextField()),
    "an index at once": ops.AddIndex("entry", INDEX),
    "a constraint at once": ops.AddConstraint("account", CHECK),
    "a foreign key": ops.AddField(
        "hold", "one", models.ForeignKey("credits.Lot", models.PROTECT, null=True, db_index=False)
    ),
    "a column with an index": ops.AddField(
        "hold", "one", models.IntegerField(null=True, unique=True)
    ),
    "Python without a way back": ops.RunPython(lambda apps, editor: None),
    "SQL without a way back": ops.RunSQL("SELECT 1"),
    "an index in SQL": ops.RunSQL("CREATE INDEX x ON credits_entry (kind)", ""),
    "a type in SQL": ops.RunSQL("ALTER TABLE usage_call ALTER COLUMN status TYPE int", ""),
    "NOT NULL": ops.RunSQL("ALTER TABLE proxy_job ALTER COLUMN said SET NOT NULL", ""),
    "a constraint in SQL": ops.RunSQL("ALTER TABLE credits_hold ADD CONSTRAINT c CHECK (true)", ""),
    "a lock": ops.RunSQL("LOCK TABLE credits_account", ""),
    "a function less": ops.RunSQL("DROP FUNCTION proxy_answered_of(uuid[])", ""),
    "a column less in SQL": ops.RunSQL("ALTER TABLE outbox_mail DROP COLUMN text", ""),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_it_is_refused(what):
    assert len(of(REFUSED[what])) == 1


def test_what_runs_concurrently_is_alone():
    index = AddIndexConcurrently("entry", INDEX)

    assert of(index, atomic=False) == []
    assert len(of(index)) == 1
    assert len(of(index, ops.RunPython(NOTHING, NOTHING), atomic=False)) == 1


def test_what_expands_is_taken():
    found = of(
        ops.AddField("hold", "one", models.IntegerField(null=True)),
        ops.AddField("hold", "two", models.IntegerField(db_default=0)),
        AddConstraintNotValid("hold", CHECK),
        ops.AddIndex("refund", INDEX),
        ops.RunSQL("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ DROP TABLE x $$", ""),
        ops.RunSQL("ALTER TABLE credits_hold ADD CONSTRAINT c CHECK (true) NOT VALID", ""),
        ops.RunSQL("CREATE INDEX CONCURRENTLY x ON credits_entry (kind)", ""),
    )

    assert found == []


def test_what_is_new_may_be_made_as_one_likes():
    table = ops.CreateModel("Fresh", [("id", models.BigAutoField(primary_key=True))])

    assert of(table, ops.AddField("fresh", "one", models.IntegerField())) == []
    assert sql("CREATE TABLE usage_call (id int); CREATE INDEX x ON usage_call (id)") == []


def test_what_nobody_uses_any_more_may_go_and_adds_nothing():
    gone = ops.RemoveField("refund", "reason")

    assert of(gone, contracts="0.2.0 was the last to read it") == []
    more = ops.AddField("refund", "one", models.IntegerField(null=True))
    assert len(of(gone, more, contracts="0.2.0 was the last to read it")) == 1


def test_all_that_is_there_keeps_the_rules_or_was_there_before():
    assert expand.check() == (True, "")
    assert expand.before() <= {name for name, _ in expand.ours()}
