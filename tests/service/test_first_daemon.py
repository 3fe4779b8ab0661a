"""Rules with ``first`` in a whole daemon: the history decides, and not who delivers a message."""

from pathlib import Path

import pytest
from support.bus import fedmsg_body
from support.daemon import running
from support.rules import rule
from support.waiting import eventually

from fedbadges.service import first_comers

RULES = {
    "early": rule("Early", 'trigger: {topic: logger.log}\nrecipient: "%(msg.user)s"\nfirst: 2\n'),
    "both": rule("Both", "criteria: {tahrir: {holds: early}}\n"),
}


def test_the_first_get_the_badge_and_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_comers, "INTERVAL", 0.05)
    monkeypatch.setattr(first_comers, "SETTLED", -60.0)
    with running(tmp_path, RULES) as daemon:
        for name in ("alice", "bob", "carol"):
            daemon.handle(fedmsg_body("logger.log", {"user": name}))
        for name in ("alice", "bob"):
            eventually(lambda name=name: daemon.badges(name) == {"early", "both"}, name)
        assert daemon.badges("carol") == set()


def test_a_message_is_not_judged_before_it_is_a_minute_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []
    monkeypatch.setattr(first_comers, "INTERVAL", 0.05)
    step = first_comers.FirstComers.step

    def note(each: first_comers.FirstComers, until: float) -> None:
        step(each, until)
        looked.append(until)

    monkeypatch.setattr(first_comers.FirstComers, "step", note)
    with running(tmp_path, RULES) as daemon:
        daemon.handle(fedmsg_body("logger.log", {"user": "alice"}))
        seen = len(looked)
        eventually(lambda: len(looked) > seen + 2, "a look at the history")
        assert daemon.badges("alice") == set()
