"""What the report of a failed test shows."""

from collections.abc import Iterator

import pytest
from support.deployment import started
from support.failures import pytest_runtest_makereport  # noqa: F401  a hook
from support.sizes import SEED


@pytest.fixture(autouse=True)
def _report() -> Iterator[None]:
    """Print the seed, and keep the logs of hubs until they are printed."""
    print(f"Repeat with FEDBADGES_FAULTS_SEED={SEED}")
    yield
    started.clear()
