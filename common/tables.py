"""Tables for programs of tables: no cell is taken for something to work out."""

from __future__ import annotations

from typing import Final

FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that such a program works out (OWASP, CSV injection)."""


def harmless(cell: str) -> str:
    """Return a cell that is read as the text that it is."""
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
