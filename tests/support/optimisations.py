"""Optimisations that a run of the tests switches off: the answers are the same."""

import os

import pytest

#: Names of settings below ``badges.``, with commas between them.
VARIABLE = "FEDBADGES_WITHOUT"

OFF = frozenset(filter(None, os.environ.get(VARIABLE, "").split(",")))


def switched_off() -> dict[str, bool]:
    """Return the settings that switch them off."""
    return {f"badges.{name}": False for name in OFF}


def needs(name: str) -> pytest.MarkDecorator:
    """Mark a test that shows what an optimisation saves."""
    return pytest.mark.skipif(name in OFF, reason=f"without badges.{name}")
