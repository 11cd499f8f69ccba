"""Which rows go along with a wallet, table by table; one that nobody decided about fails a test.

    Goes      rows of the wallet: copied, in the order below, so that what is pointed at comes first
    Person    rows of its owner: copied with a personal workspace, which is how people move
    Stays     and why

Of a row that goes its columns are copied as they are, except those in `as_`: expressions over the
row, which is `t`. A number that a sequence of the old cell gave is another one there: the next of
the new cell's own, in the old order; `new_<table>` knows them (copying.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from credits.models import HOUSE, Account

if TYPE_CHECKING:
    from collections.abc import Mapping

POSITIONS: Final = tuple(
    HOUSE[kind]
    for kind in (
        Account.Kind.STRIPE, Account.Kind.TAX, Account.Kind.DISPUTED, Account.Kind.RECEIVABLE,
    )
)  # fmt: skip
"""The house's accounts in which something stands that goes along with a wallet: its money at the
processor, the tax of its purchases. In the others stands what was earned or spent, and stays."""
MOVED: Final = HOUSE[Account.Kind.MOVED]


@dataclass(frozen=True, slots=True)
class Goes:
    """Rows that are copied."""

    where: str
    """Which: of the wallet %(wallet)s."""
    as_: Mapping[str, str] = field(default_factory=dict)
    """Columns that are other ones there."""
    only: str = ""
    """Which of those have a place there; the others are left out."""


@dataclass(frozen=True, slots=True)
class Person(Goes):
    """Rows of the person whose personal workspace it is, %(person)s."""


@dataclass(frozen=True, slots=True)
class Stays:
    """Rows that are not copied."""

    why: str


OF_WORKSPACE: Final = "workspace_id = %(wallet)s"
OF_WALLET: Final = "wallet_id = %(wallet)s"
_PURCHASES: Final = "(SELECT id FROM credits_topup WHERE wallet_id = %(wallet)s)"
_RUNS: Final = "(SELECT id FROM runs_run WHERE workspace_id = %(wallet)s)"
_RECENT_CALLS: Final = (
    "(SELECT id FROM usage_call WHERE workspace_id = %(wallet)s"
    " AND settled_at > now() - interval '9 days')"
)
ENTRIES: Final = f"""
    (debit_id = %(wallet)s OR credit_id = %(wallet)s
     OR (debit_id IN ({", ".join(f"'{each}'" for each in POSITIONS)})
         AND credit_id IN ({", ".join(f"'{each}'" for each in POSITIONS)})
         AND (key IN (SELECT 'tax:' || payment_intent_id FROM credits_topup
                       WHERE wallet_id = %(wallet)s)
              OR substring(key FROM '^(?:refund|dispute):([^:]+)(?::|$)') IN (
                  SELECT id::text FROM credits_refund WHERE top_up_id IN {_PURCHASES}
                   UNION ALL
                  SELECT id FROM credits_dispute WHERE top_up_id IN {_PURCHASES}))))
"""  # noqa: S608 - constants of our own
"""Of a wallet, and those between the house's accounts that its purchases made."""
_KEY_OF: Final = "substring(t.key FROM '^(?:expiry|reversal):([0-9]{1,18})(?::|$)')::bigint"
_LOT: Final = (
    "(SELECT new.id FROM new_credits_entry new"  # noqa: S608 - of our own
    f" WHERE new.old = coalesce((t.facts->>'brought_lot')::bigint, {_KEY_OF}))"
)
_HOUSE_THERE: Final = (
    f"CASE WHEN t.{{0}} <= '{max(HOUSE.values())}' AND t.{{0}} NOT IN"
    f" ({', '.join(repr(str(each)) for each in POSITIONS)}) THEN '{MOVED}' ELSE t.{{0}} END"
)
_THERE: Final = "EXISTS (SELECT FROM accounts_user there WHERE there.id = t.{})"
_OWNERS: Final = """
    (owner = %(wallet)s::text OR owner LIKE %(wallet)s::text || '/%%'
     OR owner_kind = 'key' AND owner IN (
         SELECT family::text FROM apikeys_apikey WHERE workspace_id = %(wallet)s)
     OR owner_kind = 'run' AND owner IN (SELECT id::text FROM runs_run
                                          WHERE workspace_id = %(wallet)s))
"""
_LOOKED_UP_ANEW: Final = {"budgets": "NULL", "budgets_until": "'1970-01-01T00:00:00Z'"}
_ENTRY: Final = "(SELECT new.id FROM new_credits_entry new WHERE new.old = t.entry_id)"

TABLES: Final[dict[str, Goes | Stays]] = {
    # The person, before all that points at them.
    "accounts.User": Person(
        "id = %(person)s", {"is_staff": "false", "is_superuser": "false"}
    ),
    "account.EmailAddress": Person("user_id = %(person)s"),
    "socialaccount.SocialAccount": Person("user_id = %(person)s"),
    "mfa.Authenticator": Person("user_id = %(person)s"),
    # The books.
    "credits.Account": Goes(
        "id = %(wallet)s",
        {
            "balance_micros": "%(balance)s::bigint", "held_micros": "0", "open_holds": "0",
            "open_large": "0", "open_apart": "0", "frozen_reason": "''",
            # The entry that closed it here is none of its history there.
            "events": "t.events - CASE WHEN %(balance)s::bigint > 0 THEN 1 ELSE 0 END",
        },
    ),
    "usage.Call": Goes(OF_WORKSPACE),
    "credits.Entry": Goes(
        f"{ENTRIES} AND NOT starts_with(key, 'moved:' || %(move)s::text || ':')",
        {
            "debit_id": _HOUSE_THERE.format("debit_id"),
            "credit_id": _HOUSE_THERE.format("credit_id"),
            "facts": f"CASE WHEN {_LOT} IS NULL THEN t.facts"
            f" ELSE t.facts || jsonb_build_object('brought_lot', {_LOT}) END",
        },
    ),
    "credits.Seal": Goes(OF_WALLET, {"entry_id": _ENTRY}, f"{_ENTRY} IS NOT NULL"),
    "credits.Lot": Goes(
        OF_WALLET,
        {
            "entry_id": _ENTRY,
            "left_micros": "coalesce((SELECT (lot->>'left')::bigint"
            " FROM jsonb_array_elements(%(lots)s::jsonb) lot"
            " WHERE (lot->>'entry')::bigint = t.entry_id), 0)",
        },
    ),
    "credits.Freeze": Goes(f"{OF_WALLET} AND cause <> 'moved'"),
    "credits.Billing": Goes(OF_WALLET),
    "credits.TopUp": Goes(OF_WALLET, {"entry_id": _ENTRY}),
    "credits.Refund": Goes(f"top_up_id IN {_PURCHASES}"),
    "credits.RefundAsk": Goes(f"top_up_id IN {_PURCHASES}"),
    "credits.Dispute": Goes(f"top_up_id IN {_PURCHASES}"),
    "credits.Receivable": Goes(OF_WALLET),
    "credits.AutoTopUp": Goes(OF_WALLET, {"setup_session_id": "''"}),
    "credits.Adjustment": Goes(OF_WALLET, {"entry_id": _ENTRY}),
    "credits.Allowance": Goes(_OWNERS),
    "credits.Budget": Goes(_OWNERS),
    # What was called.
    "usage.CallSum": Goes(OF_WORKSPACE),
    "usage.CallBlock": Goes(OF_WORKSPACE),
    "usage.RunSum": Goes(OF_WORKSPACE),
    "usage.Summed": Goes(OF_WORKSPACE),
    "usage.Proved": Goes(OF_WORKSPACE),
    "usage.Refusal": Goes(OF_WORKSPACE),
    "proxy.Job": Goes(OF_WORKSPACE),
    "proxy.Asset": Goes(OF_WORKSPACE),
    "proxy.Answer": Goes(f"call_id IN {_RECENT_CALLS}"),
    "proxy.Repeat": Goes(f"call_id IN {_RECENT_CALLS}"),
    "proxy.VendorAccount": Goes(OF_WORKSPACE),
    # The workspace, and who may do what in it.
    "accounts.Workspace": Goes("id = %(wallet)s"),
    "accounts.Membership": Goes(OF_WORKSPACE, _LOOKED_UP_ANEW),
    "accounts.Invitation": Goes(OF_WORKSPACE, only=_THERE.format("invited_by_id")),
    # Keys of people who left are dead, and are left out with them.
    "apikeys.ApiKey": Goes(OF_WORKSPACE, _LOOKED_UP_ANEW, only=_THERE.format("user_id")),
    "runs.Address": Goes(OF_WORKSPACE, only=_THERE.format("user_id")),
    "apikeys.Ask": Goes(OF_WORKSPACE, only=_THERE.format("user_id")),
    "desk.Note": Goes(OF_WORKSPACE),
    "webhooks.Endpoint": Goes(OF_WORKSPACE),
    # Runs; their machines are their cell's.
    "runs.Workflow": Goes(OF_WORKSPACE),
    "runs.WorkflowVersion": Goes(
        "workflow_id IN (SELECT id FROM runs_workflow WHERE workspace_id = %(wallet)s)"
    ),
    "runs.Run": Goes(
        OF_WORKSPACE,
        {
            "worker_id": "NULL",
            "workflow_version_id": "(SELECT new.id FROM new_runs_workflowversion new"
            " WHERE new.old = t.workflow_version_id)",
            "budget_id": "(SELECT new.id FROM new_credits_budget new WHERE new.old = t.budget_id)",
        },
    ),
    "runs.RunEvent": Goes(f"run_id IN {_RUNS}"),
    "runs.Output": Goes(OF_WORKSPACE),
    "runs.Preferences": Goes(OF_WORKSPACE),
    # Made anew there, of what goes.
    "credits.GrantedLeft": Stays("The new cell sums up the entries that came."),
    "credits.Carried": Stays("The new cell proves what came; where that begins is written there."),
    # None is there: the move waits for it.
    "credits.Hold": Stays("None is open."),
    "uploads.Storage": Stays("Nothing is stored: the move waits until its time is over."),
    "uploads.Upload": Stays("Nothing is stored: the move waits until its time is over."),
    "runs.Asset": Stays("None is there: files do not move, and the move is refused."),
    "runs.Brought": Stays("Of runs that are at work; none is."),
    "runs.Preview": Stays("Of runs that are at work; none is."),
    "runs.Trace": Stays("What is to be wiped from a machine of the old cell; its runner does."),
    # Of a moment, or of this cell's doors and machines.
    "sessions.Session": Stays("People sign in at the new address."),
    "accounts.SignIn": Stays("People sign in at the new address."),
    "usersessions.UserSession": Stays("Of sessions."),
    "account.EmailConfirmation": Stays("Asked for again."),
    "socialaccount.SocialToken": Stays("None is kept."),
    "apikeys.Pairing": Stays("Of some minutes."),
    "apikeys.Pace": Stays("Of a minute."),
    "webhooks.Delivery": Stays("What is to be told of before the move is told by the old cell."),
    "outbox.Mail": Stays("What is to be written is written by the old cell."),
    "credits.SetupPage": Stays("A page that is open; it is opened again there."),
    "credits.VoucherTry": Stays("Of an hour."),
    "credits.VoucherUse": Stays("Of a voucher of the old cell, which is redeemed there alone."),
    "credits.Finding": Stays("Staff of the old cell look at it."),
    "privacy.Deletion": Stays("None runs; a certificate is kept where it was made."),
    "privacy.Export": Stays("Asked for again."),
    "audit.Event": Stays("What was done in the old cell; its log is not rewritten elsewhere."),
    # Of the world, of staff, or of the cell itself.
    "credits.Cell": Stays("Of the cell."),
    "credits.Move": Stays("The directory: each cell has its own part."),
    "credits.Process": Stays("Programs of the cell."),
    "credits.Voucher": Stays("Of all workspaces of the cell."),
    "credits.StripeEvent": Stays("Each cell hears Stripe itself."),
    "credits.Watermark": Stays("Up to where the cell listened."),
    "credits.Tally": Stays("Sums of all entries of the cell."),
    "credits.DaySum": Stays("Sums of all entries of the cell."),
    "credits.Proof": Stays("Proofs of the cell's books."),
    "accounts.AllowedOrigin": Stays("Of the cell's doors."),
    "accounts.RefusedOrigin": Stays("Of the cell's doors."),
    "accounts.SigningKey": Stays("Of the cell."),
    "accounts.User_groups": Stays("Roles of staff are given in each cell."),
    "accounts.User_user_permissions": Stays("Roles of staff are given in each cell."),
    "admin.LogEntry": Stays("What staff did in the old cell."),
    "auth.Group": Stays("Roles of staff."),
    "auth.Group_permissions": Stays("Roles of staff."),
    "auth.Permission": Stays("Of the program."),
    "contenttypes.ContentType": Stays("Of the program."),
    "socialaccount.SocialApp": Stays("Of the cell's doors."),
    "desk.Banner": Stays("Of the cell."),
    "desk.Maintenance": Stays("Of the cell."),
    "prices.Bill": Stays("What a vendor billed the old cell."),
    "prices.BilledCall": Stays("What a vendor billed the old cell."),
    "prices.BilledDay": Stays("What a vendor billed the old cell."),
    "prices.Draft": Stays("Prices are each cell's."),
    "prices.Version": Stays("Prices are each cell's."),
    "proxy.Heartbeat": Stays("Programs of the cell."),
    "proxy.VendorHealth": Stays("Of the cell."),
    "proxy.VendorRevision": Stays("Of the cell; counted up where accounts arrive."),
    "proxy.VendorSwitch": Stays("Of the cell."),
    "runs.Worker": Stays("Machines of the cell."),
    "runs.WorkerNodes": Stays("Machines of the cell."),
}  # fmt: skip
