"""How much the tests of faults and random tests do: a short form for every day, or everything."""

import os
import random

import pytest

FULL = os.environ.get("FEDBADGES_FAULTS") == "full"
"""True if everything is asked for, by ``FEDBADGES_FAULTS=full``."""

ALONE = FULL and "PYTEST_XDIST_WORKER" not in os.environ
"""True if nothing else takes time of the machine, so that it can be measured."""

_VARIABLE = "FEDBADGES_FAULTS_SEED"

SEED = int(os.environ.get(_VARIABLE) or (random.randrange(2**32) if FULL else 1))
"""Where chance begins. Each full run by hand draws a new one, unless the variable names one."""

# The other processes of this run begin there, too.
os.environ[_VARIABLE] = str(SEED)

only_full = pytest.mark.skipif(not FULL, reason="runs in make test-faults")
"""Marks a test that the short form leaves out."""


def size(short: int, full: int) -> int:
    """Return one of two numbers, depending on what is asked for."""
    return full if FULL else short
