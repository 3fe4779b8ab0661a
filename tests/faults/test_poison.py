"""A message that fails for a reason of its own, while all others go through."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from support.databases import Postgresql
from support.fault_runs import FaultRun, run_with_faults
from support.sizes import only_full
from support.waiting import eventually

pytestmark = pytest.mark.slow

POISONED = "user07"

REFUSAL = "this person is not to be had"

# A sequence counts what is rolled back, too.
REFUSE = """
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger AS $$
BEGIN
    IF NEW.person_id = (SELECT id FROM persons WHERE nickname = 'user07') THEN
        PERFORM nextval('tries');
        RAISE EXCEPTION 'this person is not to be had';
    END IF;
    RETURN NEW;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER refuse BEFORE INSERT ON assertions FOR EACH ROW EXECUTE FUNCTION refuse();
"""


class Tahrir:
    """tahrir's database, which can be made to refuse a person's badges."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def refuse(self) -> None:
        self._ask(REFUSE)

    def accept(self) -> None:
        self._ask("DROP TRIGGER refuse ON assertions")

    def tries(self) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT last_value FROM tries")
            return cursor.fetchone()[0]

    def close(self) -> None:
        self._connection.close()

    def _ask(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


@pytest.fixture
def running(postgresql: Postgresql, tmp_path: Path) -> Iterator[FaultRun]:
    with run_with_faults(tmp_path, postgresql, command="fedmsg-badges") as running:
        yield running


@pytest.fixture
def tahrir(running: FaultRun) -> Iterator[Tahrir]:
    tahrir = Tahrir(running.databases.tahrir_url)
    yield tahrir
    tahrir.close()


def set_aside(running: FaultRun) -> list[Path]:
    return sorted((running.state / "failed").glob("*.json"))


def test_poison_message_becomes_a_dead_letter_and_can_be_retried(
    running: FaultRun, tahrir: Tahrir
) -> None:
    running.start()
    tahrir.refuse()
    (poison,) = running.send_steps(POISONED, 1)
    eventually(lambda: set_aside(running), "the message is set aside")
    running.send_steps("user01", 5)
    running.wait_until_awarded(but={(POISONED, "steps-1")})

    (file,) = set_aside(running)
    kept = json.loads(file.read_text())
    assert kept["message"]["msg_id"] == poison["msg_id"]
    assert REFUSAL in kept["error"]
    assert file.stat().st_mode & 0o077 == 0
    # Three times, each in bulk and then in a savepoint.
    assert tahrir.tries() == 3 * 2
    (line,) = running.hub.logged("ERROR")
    assert poison["msg_id"] in line
    assert REFUSAL in line
    assert str(file) in line

    # As long as nothing is mended, it fails again, and stays.
    code, said = running.hub.run("fedmsg-badges", "--retry-failed")
    assert code == 1
    assert f"{file}: failed again: " in said
    assert set_aside(running) == [file]

    tahrir.accept()
    code, _ = running.hub.run("fedmsg-badges", "--retry-failed")
    assert code == 0
    assert set_aside(running) == []
    running.wait_until_awarded()
    running.stop()
    running.check()


@only_full
def test_poison_messages_delay_no_other_award(running: FaultRun, tahrir: Tahrir) -> None:
    running.start()
    tahrir.refuse()
    running.send_steps(POISONED, 1)
    running.send(500)
    eventually(lambda: set_aside(running), "a message is set aside")
    running.wait_until_awarded(
        but={award for award in running.missing_awards() if award[0] == POISONED}
    )
    tahrir.accept()

    assert all(REFUSAL in json.loads(file.read_text())["error"] for file in set_aside(running))
    code, _ = running.hub.run("fedmsg-badges", "--retry-failed")

    assert code == 0
    assert set_aside(running) == []
    running.wait_until_awarded()
    running.stop()
    running.check()
