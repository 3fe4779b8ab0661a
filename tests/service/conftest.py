"""Fixtures for the tests of the daemon."""

import logging

import pytest


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog
