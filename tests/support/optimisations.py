"""Optimisations that a run of the tests switches off: the answers are the same."""

import os

import pytest

#: Names of settings below ``badges.``, with commas between them.
VARIABLE = "FEDBADGES_WITHOUT"

OFF = frozenset(filter(None, os.environ.get(VARIABLE, "").split(",")))


#: The settings that switch each of them off.
_SETTINGS = {
    "keep_counts": {"badges.keep_counts": False},
    "prepare_statements": {"badges.prepare_statements": False},
    "remember_holdings": {"badges.remember_holdings": 0},
}


def switched_off() -> dict[str, object]:
    """Return the settings that switch them off."""
    return {key: value for name in OFF for key, value in _SETTINGS[name].items()}


def needs(name: str) -> pytest.MarkDecorator:
    """Mark a test that shows what an optimisation saves."""
    return pytest.mark.skipif(name in OFF, reason=f"without badges.{name}")
