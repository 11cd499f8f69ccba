"""The dialects in which scripts hand over runs: each translates, and the core decides."""
