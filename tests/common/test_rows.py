"""Rows of a query by the names of its columns."""

from dataclasses import dataclass

import pytest

from common.rows import rows, values

pytestmark = pytest.mark.django_db


@dataclass
class Purse:
    gold: int
    silver: int


def test_the_order_of_columns_means_nothing():
    assert list(rows(Purse, "SELECT 2 AS silver, 1 AS gold")) == [Purse(gold=1, silver=2)]


@pytest.mark.parametrize("columns", ["1 AS gold", "1 AS gold, 2 AS silver, 3 AS bronze"])
def test_a_query_has_exactly_the_columns_that_are_wanted(columns):
    with pytest.raises(TypeError):
        list(rows(Purse, f"SELECT {columns}"))


def test_parameters_are_given_by_name_or_in_order():
    assert list(rows(Purse, "SELECT %s AS gold, %s AS silver", [1, 2])) == [Purse(1, 2)]
    assert list(rows(Purse, "SELECT %(a)s AS gold, %(a)s AS silver", {"a": 3})) == [Purse(3, 3)]


def test_the_values_of_one_column_are_a_list():
    assert values("SELECT n FROM generate_series(1, 3) n WHERE n <> %s", [2]) == [1, 3]
    assert values("SELECT 1 WHERE false") == []


def test_two_columns_are_not_values():
    with pytest.raises(ValueError, match="unpack"):
        values("SELECT 1, 2")
