"""Fixtures for all tests: fresh databases, on SQLite and on a PostgreSQL server of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from support.daemon_restarts import start  # noqa: F401  a fixture
from support.databases import KINDS, Databases, Postgresql, empty_sqlite_databases, sqlite_databases
from support.hub import Hub
from support.sizes import FULL, SEED

# The same examples in every run, so that a failure is caused by the change under test.
settings.register_profile(
    "fedbadges",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fedbadges")


# fedora-messaging looks once for the schemas that are installed.
sys.path.append(str(Path(__file__).parent / "support/message_schema"))

# A shell makes background processes ignore Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@sa.event.listens_for(sa.Engine, "connect")
def _do_not_sync(connection: object, record: object) -> None:
    """Do not wait for the disk: no database of a test has to survive a power cut."""
    if type(connection).__module__.startswith("sqlite3"):
        connection.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]


# What takes longest comes first, so that no process is left with one such file at the end.
LONG = (
    "packaging",
    "faults",
    "broker",
    "service/test_same_awards.py",
    "replay",
    "history/test_count_cache.py",
    "hub",
    "cli",
    "service",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are processors: a test with a hub mostly waits for it."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests marked ``sqlite`` to SQLite, and sort by the files that take longest."""
    long = [Path(__file__).parent / path for path in LONG]

    def rank(item: pytest.Item) -> int:
        ranks = (number for number, path in enumerate(long) if item.path.is_relative_to(path))
        return next(ranks, len(long))

    items[:] = sorted((item for item in items if _is_wanted(item)), key=rank)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fork the hubs of slow tests, which are many, but for those marked ``started``."""
    Hub.forks = bool(item.get_closest_marker("slow")) and not item.get_closest_marker("started")


def _is_wanted(item: pytest.Item) -> bool:
    if item.get_closest_marker("sqlite") is None or not isinstance(item, pytest.Function):
        return True
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    kinds = {parameters.get(name) for name in ("database", "shared_database", "empty_database")}
    return "postgresql" not in kinds


def pytest_report_header() -> str | None:
    """Print how to repeat a run with the same random choices."""
    return f"repeat with FEDBADGES_FAULTS_SEED={SEED}" if FULL else None


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the signal handlers, which a consumer replaces, so that Ctrl-C ends the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """Start a PostgreSQL server that all tests of this process share."""
    server = Postgresql()
    yield server
    server.stop()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Databases:
    """Create both databases on SQLite, for tests whose answers do not depend on SQL."""
    return sqlite_databases(tmp_path)


@pytest.fixture
def postgresql_database(postgresql: Postgresql) -> Iterator[Databases]:
    """Create both databases on PostgreSQL, for tests of what SQLite does not have."""
    databases = postgresql.create_databases()
    yield databases
    postgresql.drop_databases(databases)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Create the databases of tahrir and of datanommer, with tables, on each kind of server.

    For tests of SQL. A test or a module with the marker ``sqlite`` runs on SQLite only.
    """
    yield from _fresh(request, tmp_path)


@pytest.fixture(params=KINDS)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Create the same without tables, for tests of creating them."""
    if request.param == "sqlite":
        yield empty_sqlite_databases(tmp_path)
    else:
        server = request.getfixturevalue("postgresql")
        databases = server.create_empty_databases()
        yield databases
        server.drop_databases(databases)


@pytest.fixture(scope="module", params=KINDS)
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """Create the same, to be shared by all tests of a module."""
    yield from _fresh(request, tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="session")
def pypi(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip the test if pip cannot reach a package index."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries=0", "setuptools"]
    done = subprocess.run(command, cwd=tmp_path_factory.mktemp("pypi"), capture_output=True)
    if done.returncode:
        pytest.skip("pip reaches no package index")


def _fresh(request: pytest.FixtureRequest, directory: Path) -> Iterator[Databases]:
    if request.param == "sqlite":
        yield sqlite_databases(directory)
    else:
        server = request.getfixturevalue("postgresql")
        databases = server.create_databases()
        yield databases
        server.drop_databases(databases)
