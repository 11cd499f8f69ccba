"""The price book. The triggers are by hand: the ORM knows none."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

KEPT = """
CREATE FUNCTION prices_version_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'version_append_only: prices that held are never changed'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER version_append_only BEFORE UPDATE OR DELETE ON prices_version
    FOR EACH ROW EXECUTE FUNCTION prices_version_refuse_change();
CREATE TRIGGER version_append_only_whole BEFORE TRUNCATE ON prices_version
    FOR EACH STATEMENT EXECUTE FUNCTION prices_version_refuse_change();

CREATE FUNCTION prices_version_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest prices_version%ROWTYPE;
BEGIN
    -- One after the other: who comes second sees what the first wrote.
    PERFORM pg_advisory_xact_lock(hashtext('prices_version'));
    SELECT * INTO newest FROM prices_version ORDER BY number DESC LIMIT 1;
    IF NEW.number <> coalesce(newest.number, 0) + 1 THEN
        RAISE EXCEPTION 'version_without_gaps: % does not come after %', NEW.number, newest.number
              USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.effective_at <= newest.effective_at THEN
        RAISE EXCEPTION 'version_never_backwards: % is not after %',
              NEW.effective_at, newest.effective_at
              USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_in_order BEFORE INSERT ON prices_version
    FOR EACH ROW EXECUTE FUNCTION prices_version_check();

-- At the commit: what was priced until then must not turn out to have had another version.
CREATE FUNCTION prices_version_check_future() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.effective_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'version_never_in_the_past: % is over', NEW.effective_at
              USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER version_never_in_the_past AFTER INSERT ON prices_version
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION prices_version_check_future();

ALTER TABLE prices_version ENABLE ALWAYS TRIGGER version_append_only;
ALTER TABLE prices_version ENABLE ALWAYS TRIGGER version_append_only_whole;
ALTER TABLE prices_version ENABLE ALWAYS TRIGGER version_in_order;
"""
FREE = """
DROP TRIGGER version_append_only ON prices_version;
DROP TRIGGER version_append_only_whole ON prices_version;
DROP TRIGGER version_in_order ON prices_version;
DROP TRIGGER version_never_in_the_past ON prices_version;
DROP FUNCTION prices_version_refuse_change();
DROP FUNCTION prices_version_check();
DROP FUNCTION prices_version_check_future();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Draft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('terms', models.JSONField()),
                ('based_on', models.IntegerField()),
                ('by', models.UUIDField()),
                ('reason', models.CharField(max_length=300)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('compared_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='draft_has_a_reason')],
            },
        ),
        migrations.CreateModel(
            name='Version',
            fields=[
                ('number', models.IntegerField(primary_key=True, serialize=False)),
                ('effective_at', models.DateTimeField()),
                ('terms', models.JSONField()),
                ('by', models.UUIDField()),
                ('reason', models.CharField(max_length=300)),
                ('published_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('draft', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to='prices.draft')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='version_counts_from_one'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='version_has_a_reason')],
            },
        ),
        migrations.RunSQL(KEPT, FREE),
    ]
