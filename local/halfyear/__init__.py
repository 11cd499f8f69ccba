"""Half a year of a studio's life, lived through in two minutes: what `dev.py up --demo` shows.

Nothing is written by hand: members call over HTTP, purchases are paid on Stripe's look-alike, runs
go to a machine, staff act by the functions that their pages call. Only the clock is played.
"""
