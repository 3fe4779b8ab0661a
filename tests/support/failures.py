"""The logs of hubs in the report of a failed test."""

from collections.abc import Generator

import pytest

from support.deployment import started

_LINES = 200


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the hubs that a failed test ran."""
    report = yield
    if report.failed:
        for hub in started:
            tail = "\n".join(hub.log().splitlines()[-_LINES:])
            report.sections.append((f"log of the hub in {hub.log_file.parent}", tail))
    return report
