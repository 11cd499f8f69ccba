"""`manage.py reconcile`: prove the books, or name the difference and exit with status 1."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction

from common.money import show
from config.management.arguments import PlainCommand
from credits.proofs import reconciliation
from runs import reconciliation as runs_reconciliation
from usage import reconciliation as usage_reconciliation

if TYPE_CHECKING:
    from argparse import ArgumentParser

SHOWN = 20


class Command(PlainCommand):
    """Print each equality with what was counted; a difference is named."""

    help = "Prove that wallets, holds, entries, calls and runs agree; exit 1 and name what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--deep", action="store_true", help="recompute the hash of every seal, not of a sample"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every check in one snapshot."""
        checks = (
            *reconciliation.CHECKS,
            *reconciliation.MONEY,
            *reconciliation.SEALS,
            *reconciliation.DAYS,
            *usage_reconciliation.CHECKS,
            *runs_reconciliation.CHECKS,
        )
        with transaction.atomic():
            if not connection.in_atomic_block or len(connection.savepoint_ids) == 0:
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            proofs = reconciliation.prove(checks)
            proofs.append(reconciliation.prove_chains(deep=options["deep"]))
        for proof in proofs:
            mark = "DIFFERS" if proof.differences else "ok"
            counted = f"{proof.rows:,} rows" + (f", {show(proof.micros)}" if proof.micros else "")
            self.stdout.write(f"{mark:8}{proof.name} ({counted})")
            for difference in proof.differences[:SHOWN]:
                self.stdout.write(f"        {difference}")
            if len(proof.differences) > SHOWN:
                self.stdout.write(f"        and {len(proof.differences) - SHOWN:,} more")
        if any(proof.differences for proof in proofs):
            sys.exit(1)
