"""Fixtures for all tests: a real PostgreSQL, and fresh databases on it and on SQLite."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.databases import KINDS, Databases, Postgresql
from support.restarts import start  # noqa: F401  a fixture

# The same examples each time, so that a failure is the change's own.
settings.register_profile(
    "fedbadges",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fedbadges")


# A shell has what it starts in the background ignore Ctrl-C, and all that this starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Ctrl-C ends the tests, also after a consumer was made in their process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A PostgreSQL server, for as long as the tests run."""
    server = Postgresql()
    yield server
    server.stop()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Two empty databases, for tahrir and for datanommer; once on each kind."""
    yield from _fresh(request, tmp_path)


@pytest.fixture(scope="module", params=KINDS)
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """The same, for all tests of a module together."""
    yield from _fresh(request, tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="session")
def pypi(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package index that pip reaches; without, the test is skipped."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=0", "setuptools"]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("pypi"), capture_output=True)
    if done.returncode:
        pytest.skip("pip reaches no package index")


def _fresh(request: pytest.FixtureRequest, directory: Path) -> Iterator[Databases]:
    if request.param == "sqlite":
        yield Databases(
            "sqlite",
            f"sqlite:///{directory / 'tahrir.db'}",
            f"sqlite:///{directory / 'datanommer.db'}",
        )
        return
    server = request.getfixturevalue("postgresql")
    databases = Databases("postgresql", server.create_database(), server.create_database())
    yield databases
    server.drop_database(databases.tahrir_url)
    server.drop_database(databases.datanommer_url)
