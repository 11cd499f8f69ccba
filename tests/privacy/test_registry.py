"""Every table says what it knows of people; one that says nothing fails here."""

import re

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import BinaryField, JSONField

from accounts.models import Workspace
from common import retention
from common.personal import Fate
from credits.models import Account
from privacy import registry

MODELS = {each._meta.label: each for each in apps.get_models(include_auto_created=True)}
KNOWN = {each.model: each for each in registry.known()}
PERSONAL = re.compile(
    r"(^|_)(e?mail|name|user|user_id|to|by|address|agent|ip|text|note|description|reason|payload|"
    r"workspace|workspace_id|wallet|sealed|uid|extra_data|machine|body|owner)($|_)"
)
PEOPLE = (get_user_model(), Workspace, Account)


def links(model):
    """The columns that lead to somebody, or sound as if they told of somebody."""
    for field in model._meta.get_fields():
        if not field.concrete:
            continue
        related = field.related_model
        if related in PEOPLE or PERSONAL.search(field.name) or isinstance(field, BinaryField):
            yield field.name


def test_every_table_is_registered_once_and_every_registration_is_of_a_table():
    named = [each.model for each in registry.known()]

    assert sorted(named) == sorted(MODELS)
    assert len(named) > 60


@pytest.mark.parametrize("label", [k for k, each in KNOWN.items() if each.fate == Fate.NOTHING])
def test_what_is_about_nobody_leads_to_nobody(label):
    fields = {field.name: field for field in MODELS[label]._meta.get_fields() if field.concrete}
    told = {name for name in links(MODELS[label]) if not isinstance(fields[name], BinaryField)}

    assert told <= KNOWN[label].harmless
    assert not any(fields[name].related_model in PEOPLE for name in told)
    assert KNOWN[label].harmless <= set(fields), "a column that is no more"


@pytest.mark.parametrize("label", [k for k, each in KNOWN.items() if each.fate != Fate.NOTHING])
def test_what_is_about_somebody_says_why_and_shows_columns_that_there_are(label):
    known = KNOWN[label]
    columns = {
        name
        for field in MODELS[label]._meta.get_fields()
        if field.concrete
        for name in (field.name, getattr(field, "attname", field.name))
    }

    assert known.why.endswith(".")
    assert set(known.shown) <= columns
    if known.shown:
        assert known.whose is not None


SECRETS = re.compile(r"password|digest|token|secret|sealed|box|hash|challenge|public_key|said|text")


def test_no_secret_and_no_digest_of_one_is_in_an_archive():
    shown = {f"{each.model}.{name}" for each in KNOWN.values() for name in each.shown}

    assert [each for each in shown if SECRETS.search(each.rpartition(".")[2])] == []
    assert not any(
        isinstance(MODELS[each.model]._meta.get_field(name), BinaryField)
        for each in KNOWN.values()
        for name in each.shown
        if "__" not in name and not name.endswith("_id")
    )


def test_each_kind_of_data_with_a_time_has_somebody_who_takes_it_away():
    assert sorted(each.name for each in registry.kept()) == sorted(retention.DEFAULTS)
    assert set(settings.RETENTION_DAYS) == set(retention.DEFAULTS)


@pytest.mark.parametrize("wrong", ["mails:0", "mails", "audit:399", "letters:3", "mails:x", "a:1"])
def test_a_time_that_cannot_be_kept_is_refused(wrong):
    with pytest.raises(ValueError, match=r"needs|knows"):
        retention.read(wrong)


def test_what_is_not_named_is_as_by_default():
    assert retention.read("mails:30, audit:800") == {
        **retention.DEFAULTS, "mails": 30, "audit": 800,
    }  # fmt: skip


def test_json_of_people_is_seen_by_whoever_looks():
    """The columns that can hold anything: a new one is looked at by a person, once."""
    found = {
        f"{label}.{field.name}"
        for label, model in MODELS.items()
        for field in model._meta.get_fields()
        if field.concrete and isinstance(field, JSONField)
    }

    assert found == {
        "accounts.SigningKey.public", "audit.Event.before",
        "audit.Event.after", "credits.Entry.facts", "credits.Hold.memo", "credits.Move.lots",
        "credits.StripeEvent.payload", "mfa.Authenticator.data", "prices.Draft.terms",
        "prices.Version.terms", "privacy.Deletion.blocked", "privacy.Deletion.report",
        "proxy.Answer.headers", "proxy.Job.inputs", "proxy.Job.poll_body",
        "runs.Asset.tags", "runs.Run.classes", "runs.Run.extra", "runs.Run.files", "runs.Run.graph",
        "runs.Run.messages", "runs.Run.metadata", "runs.Run.progress", "runs.RunEvent.data",
        "runs.WorkerNodes.folders", "runs.WorkerNodes.object_info",
        "runs.WorkflowVersion.form", "runs.WorkflowVersion.graph",
        "socialaccount.SocialAccount.extra_data", "socialaccount.SocialApp.settings",
        "uploads.Upload.measured", "usage.Call.facts", "usersessions.UserSession.data",
            "webhooks.Delivery.tries",
    }  # fmt: skip
