"""What is shown of a test that fails."""

from collections.abc import Iterator

import pytest
from support.deployment import started
from support.failures import pytest_runtest_makereport  # noqa: F401  a hook
from support.sizes import SEED


@pytest.fixture(autouse=True)
def _again() -> Iterator[None]:
    """Shows how to have the same again, and keeps the logs of hubs until they are shown."""
    print(f"Again the same: FEDBADGES_FAULTS_SEED={SEED}")
    yield
    started.clear()
