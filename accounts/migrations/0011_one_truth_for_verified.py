"""Whether an address is verified is said by allauth's row alone: what we knew moves there."""

from django.db import migrations, models
from django.utils import timezone


def to_allauth(apps, schema_editor):
    User = apps.get_model('accounts', 'User')
    EmailAddress = apps.get_model('account', 'EmailAddress')
    known = User.objects.filter(email_verified_at__isnull=False)
    for user in known.iterator(chunk_size=1000):
        EmailAddress.objects.update_or_create(
            user=user, email=user.email, defaults={'verified': True, 'primary': True}
        )


def from_allauth(apps, schema_editor):
    User = apps.get_model('accounts', 'User')
    EmailAddress = apps.get_model('account', 'EmailAddress')
    theirs = EmailAddress.objects.filter(
        verified=True, user=models.OuterRef('pk'), email=models.OuterRef('email')
    )
    User.objects.filter(models.Exists(theirs)).update(email_verified_at=timezone.now())


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_shared_cache'),
        ('account', '0009_emailaddress_unique_primary_email'),
    ]

    operations = [
        migrations.RunPython(to_allauth, from_allauth),
        migrations.RemoveField(model_name='user', name='email_verified_at'),
    ]
