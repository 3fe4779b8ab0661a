"""What the engine makes of ``any``, ``all`` and ``not`` where a part cannot be judged."""

import itertools
import logging
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.builders import candidates_of, make_message, make_rule, make_settings, statements
from support.databases import Databases

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.rules.index import RuleSet
from fedbadges.tahrir.database import Tahrir

PUSHED = '{filter: {users: ["%(recipient)s"]}, operation: count, condition: {greater than: 0}}'
NEVER_PUSHED = PUSHED.replace("greater than: 0", "equal to: 0")
LACKING = PUSHED.replace("%(recipient)s", "%(msg.commit.author)s")
RAISING = PUSHED.replace("operation: count", 'operation: {lambda: "1 / 0"}')
EXITING = PUSHED.replace("greater than: 0", 'lambda: "exit(value)"')
AVATAR = "{libravatar: {exists: Yes}}"

NAMES = {
    PUSHED: "holds",
    NEVER_PUSHED: "does not hold",
    LACKING: "lacks",
    RAISING: "raises",
    EXITING: "exits",
    AVATAR: "away",
}


@pytest.fixture
def settings(sqlite_database: Databases, tmp_path: Path) -> Settings:
    """Return the settings of a deployment in which alice has pushed, and Libravatar is away."""
    keys = {"libravatar.url": "http://127.0.0.1:9/avatar"}
    settings = make_settings(sqlite_database, tmp_path, **keys)
    History(settings).record(make_message("git.receive"), ["alice"], [])
    return settings


def earns(settings: Settings, criteria: str) -> bool:
    """Return True if alice has earned the badge of a rule with these criteria."""
    body = f"trigger: {{topic: git.receive}}\ncriteria: {criteria}\n"
    rule = make_rule(settings, "pushed", body + 'recipient: "%(msg.user)s"\n')
    recipients = RecipientFinder(settings, FedmsgUsernames(settings.fedmsg))
    engine = BadgeEngine(settings, Tahrir(settings), recipients, RuleSet([rule]))
    candidates = candidates_of(engine, make_message("git.receive", {"user": "alice"}))
    assert candidates is not None
    return bool(engine.judge(candidates, engine.plan([candidates])))


def combine(operator: str, parts: Iterable[str]) -> str:
    return f"{{{operator}: [{', '.join(parts)}]}}"


def describe(part: object) -> str | None:
    names = part if isinstance(part, tuple) else (part,)
    return ", ".join(NAMES[name] for name in names)


ERRORS = pytest.mark.parametrize("error", [LACKING, RAISING, EXITING], ids=describe)


@ERRORS
def test_parts_decide_in_any_order_whatever_another_raises(settings: Settings, error: str) -> None:
    for parts in itertools.permutations([error, PUSHED, NEVER_PUSHED]):
        assert earns(settings, combine("any", parts))
        assert not earns(settings, combine("all", parts))
        assert earns(settings, f"{{not: {combine('all', parts)}}}")
        assert not earns(settings, f"{{not: {combine('any', parts)}}}")


@ERRORS
def test_nobody_earns_a_badge_by_criteria_that_cannot_be_judged(
    settings: Settings, error: str
) -> None:
    for operator, other in (("any", NEVER_PUSHED), ("all", PUSHED)):
        for parts in itertools.permutations([error, other]):
            assert not earns(settings, combine(operator, parts))
            assert not earns(settings, f"{{not: {combine(operator, parts)}}}")


@pytest.mark.parametrize(
    "others", [(NEVER_PUSHED,), (LACKING,), (RAISING, NEVER_PUSHED)], ids=describe
)
def test_any_waits_for_a_service_that_may_decide(
    settings: Settings, others: tuple[str, ...]
) -> None:
    for parts in itertools.permutations([AVATAR, *others]):
        with pytest.raises(Unavailable):
            earns(settings, combine("any", parts))


def test_any_does_not_wait_for_a_service_that_cannot_decide(settings: Settings) -> None:
    for parts in itertools.permutations([AVATAR, LACKING, PUSHED]):
        assert earns(settings, combine("any", parts))
    for parts in itertools.permutations([AVATAR, LACKING, NEVER_PUSHED]):
        assert not earns(settings, combine("all", parts))


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        (combine("any", [RAISING, PUSHED]), 0),
        (f"{{not: {combine('all', [RAISING, NEVER_PUSHED])}}}", 0),
        (combine("any", [RAISING, NEVER_PUSHED]), 1),
        (combine("all", [RAISING, PUSHED]), 1),
        (combine("all", [RAISING, NEVER_PUSHED]), 1),
        (combine("all", [combine("any", [RAISING, PUSHED]), NEVER_PUSHED]), 0),
    ],
)
def test_error_is_warned_of_where_nobody_earns_a_badge(
    settings: Settings, criteria: str, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Of ``all``, a part that always raises would otherwise hide behind one that is false."""
    caplog.set_level(logging.WARNING, "fedbadges")

    earns(settings, criteria)

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == count
    assert all("Rule failed, so the message does not match" in line for line in lines)


def test_history_is_not_asked_after_the_decisive_part(settings: Settings) -> None:
    """The second question is about others, and would be another query."""
    others = PUSHED.replace("%(recipient)s", "%(topic)s")
    with statements(settings.history_url) as alone:
        earns(settings, combine("any", [PUSHED]))

    with statements(settings.history_url) as sent:
        assert earns(settings, combine("any", [PUSHED, others]))
        assert not earns(settings, combine("all", [NEVER_PUSHED, others]))

    assert len(sent) == 2 * len(alone)
