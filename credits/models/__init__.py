"""The tables of money: the books, what is bought, what is given, and what staff must look at."""

from credits.models.asks import RefundAsk
from credits.models.books import (
    HOUSE,
    LARGE_MICROS,
    LAST_HOUSE,
    Account,
    Entry,
    Freeze,
    Hold,
    Lot,
    Process,
    Seal,
)
from credits.models.cells import Cell, Move
from credits.models.gifts import Adjustment, Voucher, VoucherTry, VoucherUse
from credits.models.limits import PERIODS, Allowance, Budget
from credits.models.purchases import (
    AutoTopUp,
    Billing,
    Dispute,
    Receivable,
    Refund,
    SetupPage,
    TopUp,
)
from credits.models.stripe import Finding, StripeEvent, Watermark
from credits.models.sums import Carried, DaySum, GrantedLeft, Proof, Tally

__all__ = [
    "HOUSE",
    "LARGE_MICROS",
    "LAST_HOUSE",
    "PERIODS",
    "Account",
    "Adjustment",
    "Allowance",
    "AutoTopUp",
    "Billing",
    "Budget",
    "Carried",
    "Cell",
    "DaySum",
    "Dispute",
    "Entry",
    "Finding",
    "Freeze",
    "GrantedLeft",
    "Hold",
    "Lot",
    "Move",
    "Process",
    "Proof",
    "Receivable",
    "Refund",
    "RefundAsk",
    "Seal",
    "SetupPage",
    "StripeEvent",
    "Tally",
    "TopUp",
    "Voucher",
    "VoucherTry",
    "VoucherUse",
    "Watermark",
]
