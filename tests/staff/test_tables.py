"""Tables are looked at, and changed by nobody: tried at every address of the admin site."""

import re

import pytest
from call_rows import call_of
from django.apps import apps
from django.contrib import admin
from django.db.models import BinaryField
from django.urls.resolvers import URLResolver

from audit.models import Event
from credits.models import Account, Entry, Hold
from desk.roles import ROLES
from staff.tables import SHOWN

SECRET = re.compile(r"password|digest|token|secret|sealed|box|payload|pepper|said|poll_body")
BOOKS = sorted(model._meta.label for model in apps.get_app_config("credits").get_models())


def routes(patterns=None, before=""):
    for each in admin.site.get_urls() if patterns is None else patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, route)
        else:
            yield route


@pytest.fixture
def everything(of_staff):
    """Somebody with all roles there are."""
    return of_staff(*ROLES)


def test_no_secret_is_among_the_columns_and_all_that_are_shown_are_there():
    for label, columns in SHOWN.items():
        model = apps.get_model(label)
        for name in columns.split():
            field = next(each for each in model._meta.fields if name in (each.name, each.attname))
            assert not SECRET.search(name), (label, name)
            assert not isinstance(field, BinaryField), (label, name)


def test_what_is_not_stated_is_not_shown_and_allauths_secrets_are_nowhere():
    shown = {model._meta.label for model in admin.site._registry}

    assert shown == set(SHOWN)


def test_each_table_opens_and_each_row(everything, alice, place_hold):
    call_of(alice)
    place_hold(alice, "0.30")
    for label in sorted(SHOWN):
        model = apps.get_model(label)
        base = f"{model._meta.app_label}/{model._meta.model_name}/"
        assert everything.get(base).status_code == 200, label
        assert everything.get(f"{base}?o=1&q=x&p=99999").status_code in (200, 302), label
        row = model._base_manager.first()
        if row is not None:
            answer = everything.get(f"{base}{row.pk}/change/")
            assert answer.status_code == 200, label
            assert b"<input" not in answer.content.split(b"<main")[1], label


def test_no_address_of_the_admin_site_adds_changes_or_deletes_a_row(everything, alice, place_hold):
    """With all roles, by every method, with what a form of Django's would send."""
    call_of(alice)
    place_hold(alice, "0.30")
    rows = {label: _rows(label) for label in sorted({*SHOWN, *BOOKS}) if label != "audit.Event"}
    events = Event.objects.count()
    tried = 0

    for route in sorted(set(routes())):
        label = re.match(r"(\w+)/(\w+)/", route)
        model = next(
            (each for each in admin.site._registry if label
             and (each._meta.app_label, each._meta.model_name) == label.groups()), None
        )  # fmt: skip
        row = model._base_manager.first() if model else None
        path = re.sub(r"<[^>]+>|\(\?P[^)]*\)\$?", str(row.pk) if row else "1", route)
        for form in ({}, _form(row)):
            answer = everything.browser.post(f"/staff/{path}", form)
            assert answer.status_code in (200, 302, 403, 404, 405), path
            if re.search(r"/(add|change|delete)/$", path) and row:
                assert answer.status_code == 403, path
            tried += 1
        for method in ("PUT", "PATCH", "DELETE"):
            everything.browser.generic(method, f"/staff/{path}", b"{}")

    assert tried > 200
    assert {label: _rows(label) for label in rows} == rows
    assert Event.objects.count() == events
    assert Account.objects.filter(pk=alice.workspace_id).exists()
    assert Entry.objects.filter(credit=alice.workspace_id).exists()
    assert Hold.objects.filter(account=alice.workspace_id).exists()


def _rows(label):
    model = apps.get_model(label)
    return sorted(str(row) for row in model._base_manager.values_list())


def _form(row):
    """What Django's own forms send for deleting some, for deleting one, and for saving."""
    chosen = {"action": "delete_selected", "_selected_action": str(row.pk)} if row else {}
    fields = {
        each.attname: str(getattr(row, each.attname)) for each in row._meta.fields
    } if row else {}  # fmt: skip
    return {**fields, **chosen, "post": "yes", "_save": "Save", "is_active": "", "index": "0"}


@pytest.mark.parametrize("role", ["support"])
def test_who_may_not_read_records_sees_no_table(of_staff, role):
    sam = of_staff(role)

    for label in sorted(SHOWN):
        model = apps.get_model(label)
        path = f"{model._meta.app_label}/{model._meta.model_name}/"
        assert sam.get(path).status_code == 403, label
