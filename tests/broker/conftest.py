"""A broker for all tests here, which shows the logs of daemons that a failed test ran."""

from collections.abc import Iterator

import pytest
from support.broker import Broker, BrokerBus
from support.failures import pytest_runtest_makereport  # noqa: F401  a hook


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@pytest.fixture
def bus(broker: Broker) -> BrokerBus:
    """Queues that only this test uses."""
    return BrokerBus(broker)
