"""How much the tests that break things do: a short form for every day, and the whole."""

import os
import random

FULL = os.environ.get("FEDBADGES_FAULTS") == "full"
"""Whether the whole is asked for, by ``FEDBADGES_FAULTS=full``."""

SEED = int(os.environ.get("FEDBADGES_FAULTS_SEED") or (random.randrange(2**32) if FULL else 1))
"""What chance begins with. The short form is always the same, the whole is new every time, and
``FEDBADGES_FAULTS_SEED`` repeats one that failed."""


def size(short: int, full: int) -> int:
    """Returns one of two numbers, by what is asked for."""
    return full if FULL else short
