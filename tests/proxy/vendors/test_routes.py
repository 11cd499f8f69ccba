"""The catalogue has every route that a stock node calls, and no other; documents say so."""

from __future__ import annotations

import pytest
from sample_calls import unnamed

from local import vendors as table
from proxy.catalogue import Kind
from proxy.vendors import VENDORS

ROUTES = table.routes()
OURS = {
    (each.method, unnamed(f"/proxy/{each.path}")): each
    for vendor in VENDORS
    for each in vendor.operations
}
THEIRS = {tuple(unnamed(each["route"]).split(" ")): each for each in ROUTES}
NO_NODE_CALLS = {("GET", "/proxy/gemini-interactions/files/{}")}
"""An answer of ours names it; what a node then fetches is no route of its own."""


def test_catalogue_and_nodes_name_the_same_routes():
    assert THEIRS.keys() - OURS.keys() == set()
    assert OURS.keys() - THEIRS.keys() == NO_NODE_CALLS


@pytest.mark.parametrize("route", sorted(OURS.keys() & THEIRS.keys()), ids=" ".join)
def test_a_route_costs_where_its_nodes_pay(route):
    ours, theirs = OURS[route], THEIRS[route]
    assert theirs["nodes"]
    assert (ours.kind in (Kind.SYNC, Kind.SUBMIT)) == (theirs["kind"] in ("sync", "submit"))


def test_each_vendors_file_says_where_its_facts_are_from():
    for vendor in VENDORS:
        assert table.sources(vendor), vendor.name


def test_the_tables_of_vendors_are_those_of_the_catalogue():
    """`python3 dev.py vendors` writes them."""
    for file, written in table.files().items():
        assert file.read_text() == written, f"{file.name} is stale: run python3 dev.py vendors"
