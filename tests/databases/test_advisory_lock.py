"""One process at a time holds the lock, and nothing that ends badly leaves it held."""

import sqlalchemy as sa
from support.databases import Databases
from support.waiting import eventually

from fedbadges.databases.advisory_lock import advisory_lock
from fedbadges.databases.connections import engine, parse_url

KEY = 17


def lock_is_free(url: sa.URL) -> bool:
    with advisory_lock(url, "datanommer", KEY) as held:
        return held


def test_one_at_a_time_holds_the_lock(postgresql_database: Databases) -> None:
    url = parse_url(postgresql_database.datanommer_url)

    with advisory_lock(url, "datanommer", KEY) as held:
        assert held
        assert not lock_is_free(url)
        with advisory_lock(url, "datanommer", KEY + 1) as other:
            assert other
    assert lock_is_free(url)


def test_lock_that_the_server_has_ended_is_free_and_nothing_fails(
    postgresql_database: Databases,
) -> None:
    url = parse_url(postgresql_database.datanommer_url)
    with advisory_lock(url, "datanommer", KEY) as held:
        assert held
        with engine(url).begin() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                )
            )
        eventually(lambda: lock_is_free(url), "the lock to be free")


def test_process_that_hangs_loses_the_lock(postgresql_database: Databases) -> None:
    url = parse_url(postgresql_database.datanommer_url)

    with advisory_lock(url, "datanommer", KEY, seconds=0.1) as held:
        assert held
        eventually(lambda: lock_is_free(url), "the server to take the lock")


def test_sqlite_needs_no_lock(sqlite_database: Databases) -> None:
    url = parse_url(sqlite_database.datanommer_url)

    with advisory_lock(url, "datanommer", KEY) as held:
        assert held
        assert lock_is_free(url)
