"""Shows the logs of the hubs that a failed test ran."""

from support.failures import pytest_runtest_makereport  # noqa: F401  a hook
