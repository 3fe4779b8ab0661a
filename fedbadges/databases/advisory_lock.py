"""A lock that processes on several machines share, by way of a database."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import URL, exc, text

from fedbadges.databases.connections import engine
from fedbadges.databases.outages import translate_errors

_TRY = text("SELECT pg_try_advisory_xact_lock(:key)")
#: The lock is held as long as a transaction that does nothing, and so holds up nothing. A host that
#: vanishes without a word loses it within two minutes, rather than hours.
_HOLD = text(
    "SELECT set_config('idle_in_transaction_session_timeout', :timeout, true),"
    " set_config('tcp_keepalives_idle', '60', true),"
    " set_config('tcp_keepalives_interval', '10', true),"
    " set_config('tcp_keepalives_count', '5', true)"
)


@contextmanager
def advisory_lock(url: URL, name: str, key: int, seconds: float | None = None) -> Iterator[bool]:
    """Try to hold a lock within the block; yield False if another process holds it.

    ``key`` identifies it in the database, whose ``name`` is for errors. After so many ``seconds``
    the server takes it from a process that hangs. Raises Unavailable. On SQLite there is no lock:
    nobody else holds it. If the connection is lost, so is the lock.
    """
    if url.get_backend_name() != "postgresql":
        yield True
        return
    with translate_errors(name):
        connection = engine(url).connect()
    try:
        with translate_errors(name):
            # A pooler may have another session for each transaction.
            held = bool(connection.scalar(_TRY, {"key": key}))
            if held:
                timeout = 0 if seconds is None else round(seconds * 1000)
                connection.execute(_HOLD, {"timeout": str(timeout)})
                connection.detach()
        yield held
    finally:
        # It may be lost by now, and the lock with it.
        with suppress(exc.SQLAlchemyError):
            connection.close()
