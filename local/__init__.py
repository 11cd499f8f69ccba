"""What stands in for services on a bare machine: PostgreSQL, its processes, a demonstration.

Nothing of the product imports this package, and nothing here decides anything about the product.
"""
