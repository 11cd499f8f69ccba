"""What members and staff did. The trigger is by hand: the ORM knows none."""

import django.db.models.functions.datetime
from django.db import migrations, models


KEPT = "interval '400 days'"
APPEND_ONLY = f"""
CREATE FUNCTION audit_event_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.address = '' AND NEW.agent = ''
           AND to_jsonb(NEW) - ARRAY['address', 'agent']
             = to_jsonb(OLD) - ARRAY['address', 'agent'] THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - {KEPT} THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'event_append_only: what was done is never changed'
          USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_refuse_change();
CREATE TRIGGER event_append_only_whole BEFORE TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_refuse_change();
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER event_append_only;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER event_append_only_whole;
"""
CHANGEABLE = """
DROP TRIGGER event_append_only ON audit_event;
DROP TRIGGER event_append_only_whole ON audit_event;
DROP FUNCTION audit_event_refuse_change();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('action', models.CharField(max_length=64)),
                ('actor_id', models.UUIDField(null=True)),
                ('subject_id', models.UUIDField(null=True)),
                ('workspace_id', models.UUIDField(null=True)),
                ('target', models.CharField(db_default='', default='', max_length=200)),
                ('before', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ('after', models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ('reason', models.CharField(db_default='', default='', max_length=300)),
                ('source', models.CharField(max_length=16)),
                ('address', models.CharField(db_default='', default='', max_length=45)),
                ('agent', models.CharField(db_default='', default='', max_length=200)),
            ],
            options={
                'indexes': [models.Index(fields=['subject_id', '-id'], name='event_of_subject'), models.Index(fields=['workspace_id', '-id'], name='event_of_workspace'), models.Index(fields=['actor_id', '-id'], name='event_by_actor')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('action', ''), _negated=True), ('source__in', ['web', 'command', 'program'])), name='event_says_what_and_from_where')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, CHANGEABLE),
    ]
