"""Cells: databases of the whole platform, each with wallets of its own; and how a wallet moves."""
