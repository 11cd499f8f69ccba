"""The stage with every vendor switched on, each by the credential that its far side wants."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from proxy_stage import VENDOR_KEY, Stage

from proxy import again
from proxy.vendors import VENDORS


@pytest.fixture
def configure(stage: Stage, settings: Any) -> Iterator[Any]:
    """Change settings of vendors: `configure(VENDOR_KLING_SECRET=...)`; None takes one away."""

    def change(**given: str | None) -> None:
        now = {**settings.VENDOR_SETTINGS, **given}
        settings.VENDOR_SETTINGS = {name: value for name, value in now.items() if value is not None}

    change(**dict.fromkeys(_wanted(), VENDOR_KEY))
    return change


@functools.cache
def _wanted() -> tuple[str, ...]:
    """Return what the settings of all vendors' credentials are called."""
    names = []
    for vendor in VENDORS:
        schemes = [vendor.credential, *(o.credential for o in vendor.operations if o.credential)]
        wanted = {name for scheme in schemes for name in scheme.required} or {"KEY"}
        names += [f"VENDOR_{vendor.name.upper()}_{name}" for name in wanted]
    return tuple(names)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a lost answer at once."""
    monkeypatch.setattr(again, "PAUSE_SECONDS", 0)


@pytest.fixture(autouse=True)
def all_vendors(request: pytest.FixtureRequest) -> None:
    """Switch them on wherever there is a stage."""
    if "stage" in request.fixturenames:
        request.getfixturevalue("configure")
