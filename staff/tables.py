"""Tables as they are, by Django's admin: to look at, and nothing else.

Nothing is added, changed or deleted by any address of it, whoever asks: what staff do goes by
functions (acts.py), and the books are changed by nobody. No column that holds a secret, a digest of
one, or what a vendor or member said is shown.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib import admin
from django.core.paginator import Paginator

from desk import roles
from desk.roles import Right

if TYPE_CHECKING:
    from django.db.models import Model
    from django.http import HttpRequest

    Pages = Paginator[Any]
    Rows = admin.ModelAdmin[Any]
else:
    Pages, Rows = Paginator, admin.ModelAdmin

MOST_COUNTED: Final = 10_000

SHOWN: Final[dict[str, str]] = {
    "accounts.User": "email name is_active is_staff status_reason created_at id",
    "accounts.Workspace": "name kind created_at wallet",
    "accounts.Membership": "workspace_id user_id role created_at",
    "accounts.Invitation": "workspace_id email role created_at expires_at accepted_at withdrawn_at",
    "accounts.SignIn": "user_id client_id redirect_uri created_at last_used_at ended_at why_ended",
    "apikeys.ApiKey": "prefix name user_id workspace_id created_at last_used_at expires_at"
    " disabled_at revoked_at status_reason",
    "audit.Event": "at action actor_id subject_id workspace_id target before after reason source",
    "credits.Account": "id kind balance_micros held_micros open_holds paid_micros concurrency"
    " frozen_reason created_at",
    "credits.Entry": "id kind debit_id credit_id amount_micros key facts created_at",
    "credits.Hold": "id account_id amount_micros placed_at expires_at",
    "credits.Lot": "entry_id wallet_id kind amount_micros left_micros expires_at",
    "credits.Freeze": "wallet_id cause sentence created_at lifted_at lift_reason",
    "credits.TopUp": "id wallet_id source state amount_micros tax_cents payment_intent_id"
    " created_at credited_at failure",
    "credits.Refund": "id top_up_id source state cents taken_micros owed_micros stripe_id reason"
    " created_at",
    "credits.RefundAsk": "id top_up_id amount_micros state reason decision created_at decided_at",
    "credits.Dispute": "id top_up_id phase status reason cents taken_micros owed_micros created_at"
    " closed_at",
    "credits.Receivable": "wallet_id top_up_id cause amount_micros paid_micros waived_micros"
    " created_at",
    "credits.Adjustment": "id wallet_id amount_micros is_gift state reason decision created_at"
    " decided_at",
    "credits.Voucher": "id name hint amount_micros uses used redeem_until disabled_at created_at",
    "credits.VoucherUse": "voucher_id wallet_id entry_id created_at",
    "credits.Finding": "key kind sentence wallet_id created_at resolved_at resolution",
    "credits.StripeEvent": "id type object_id happened_at received_at processed_at attempts error",
    "credits.Tally": "id after_entry last_entry created_at",
    "credits.DaySum": "tally_id day kind debit_kind credit_kind entries micros granted_micros",
    "credits.Proof": "id deep began_at ended_at upto_entry differences differing",
    "credits.Allowance": "owner_kind owner period limit_micros",
    "credits.Budget": "id owner_kind owner limit_micros taken_micros ends_at",
    "usage.Call": "id settled_at workspace_id vendor operation outcome status charged_micros"
    " vendor_request_id vendor_job_id run_id",
    "proxy.Job": "id workspace_id vendor account operation vendor_job_id created_at deadline_at"
    " polls ended_at outcome",
    "proxy.VendorSwitch": "vendor operation sentence changed_at",
    "proxy.VendorHealth": "vendor account since last_error last_error_at",
    "prices.Draft": "id based_on terms reason created_at compared_at",
    "prices.Version": "number effective_at terms reason published_at",
    "privacy.Deletion": "id state asked_at due_at deadline_at ended_at done error",
    "uploads.Upload": "id workspace_id created_at",
    "desk.Note": "workspace_id by created_at",
}
"""Which columns of which tables are shown. What is not here is not shown by anybody."""


class SomeCounted(Pages):
    """Pages of a table that may be very long: what is beyond ten thousand rows is not counted."""

    @cached_property
    def count(self) -> int:
        """Return how many rows there are, at most so many as are counted."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_COUNTED].count())


class Table(Rows):
    """Rows that can be looked at."""

    actions = None
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    paginator = SomeCounted
    sortable_by = ()
    ordering = ("-pk",)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may look at tables."""
        return Right.RECORDS in roles.rights(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether somebody may look at tables."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds a row."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes one."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one."""
        return False


def register() -> None:
    """Have the admin site know the tables that are shown."""
    for label, columns in SHOWN.items():
        model: type[Model] = apps.get_model(label)
        if not admin.site.is_registered(model):
            names = tuple(columns.split())
            about = {"list_display": names, "fields": names, "__module__": __name__}
            shown = type(f"{model.__name__}Table", (Table,), about)
            admin.site.register(model, shown)
