"""A rule that moves takes its mutant along: one that is nowhere any more breaks nothing."""

from __future__ import annotations

import pytest

from local import mutate


@pytest.mark.parametrize("mutant", mutate.listed().values(), ids=mutate.listed())
def test_each_mutant_has_its_place_and_its_tests(mutant):
    mutate.place(mutant)
    for test in mutant.tests:
        mutate.find(test)
