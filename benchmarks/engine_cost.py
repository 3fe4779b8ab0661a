"""Measures what a message costs in the engine, if it triggers rules and if it does not."""

from __future__ import annotations

import dataclasses
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from databases import History, statements
from deployment import AWARD_TOPIC, NOBODY, Deployment, candidates_of, multiply, parsed
from traffic import Draft, Traffic, send

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.engine.engine import BadgeEngine
from fedbadges.history.count_saver import CountSaver
from fedbadges.service.startup import remember_recent_people

Results = dict[str, float]

_FEW_RULES, _MANY_RULES = 150, 1500

#: A bare round trip, and how many of them are timed without anything in between.
_NOTHING = sa.text("SELECT 1")
_ROUND_TRIPS = 1000

#: How often the same messages are decoded; all of it takes about a second.
_DECODING_ROUNDS = 500


class Decoding:
    """Times ``json.loads`` of the same messages, which tells how fast the machine is by now."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __call__(self) -> None:
        for text in self._texts:
            json.loads(text)

    def microseconds(self) -> float:
        """Return how long a message takes, the median of some rounds."""
        with _undisturbed():
            rounds = [_seconds(self) for _ in range(_DECODING_ROUNDS)]
        return statistics.median(rounds) / len(self._texts) * 1e6


def untriggering(deployment: Deployment, traffic: Traffic, count: int = 200) -> list[str]:
    """Return messages that trigger no rule, as JSON."""
    texts: list[str] = []
    while len(texts) < count:
        for each in traffic.drafts(count):
            body = send(each, traffic.new_id())
            if not deployment.rules.concerned(parsed(body)):
                texts.append(json.dumps(body))
    return texts[:count]


def untriggered(deployment: Deployment, texts: Sequence[str], rounds: int) -> Results:
    """Time messages that trigger no rule, with some rules and with ten times as many."""
    rules = list(deployment.rules)
    few = deployment.make_engine(multiply(rules, _FEW_RULES), NOBODY)
    many = deployment.make_engine(multiply(rules, _MANY_RULES), NOBODY)
    bodies = [json.loads(text) for text in texts]
    decode = Decoding(texts)

    def read() -> None:
        for body in bodies:
            parsed(body)

    def consider(engine: BadgeEngine) -> None:
        for body in bodies:
            candidates_of(engine, parsed(body))

    decoding, reading, considering, considering_many = [], [], [], []
    for _ in range(rounds):
        with _undisturbed():
            decoding.append(_seconds(decode))
            reading.append(_seconds(read))
            considering.append(_seconds(lambda: consider(few)))
            considering_many.append(_seconds(lambda: consider(many)))
    return {
        "decode_us": statistics.median(decoding) / len(texts) * 1e6,
        "message_bytes": statistics.mean(map(len, texts)),
        "parse_us": statistics.median(reading) / len(texts) * 1e6,
        "untriggered_us": statistics.median(considering) / len(texts) * 1e6,
        "untriggered_over_decode": _ratio(considering, decoding),
        "untriggered_10x_rules_ratio": _ratio(considering_many, considering),
    }


def rules_triggered(deployment: Deployment, traffic: Traffic, count: int) -> int:
    """Count the rules that the traffic triggers, which should be nearly all."""
    found: set[str] = set()
    for each in traffic.drafts(count):
        message = parsed(send(each, "none"))
        for rule in deployment.rules.concerned(message):
            if rule.badge.id not in found and rule.trigger.holds(message):
                found.add(rule.badge.id)
    return len(found)


def triggering(deployment: Deployment, traffic: Traffic, count: int) -> list[Draft]:
    """Return messages that trigger a rule and have a candidate."""
    found: list[Draft] = []
    while len(found) < count:
        for each in traffic.drafts(10 * count):
            message = parsed(send(each, "none"))
            if deployment.rules.concerned(message) and candidates_of(deployment.engine, message):
                found.append(each)
    return found[:count]


class Triggered:
    """Times the same messages over several histories in turn, so that noise affects all alike."""

    def __init__(
        self,
        deployments: Mapping[str, Deployment],
        histories: Mapping[str, History],
        drafts: Sequence[Draft],
        traffic: Traffic,
    ) -> None:
        self._deployments = deployments
        self._histories = histories
        self._drafts = list(drafts)
        self._traffic = traffic

    @property
    def drafts(self) -> list[Draft]:
        """The messages that there was time for."""
        return self._drafts

    def cold(self, seconds: float) -> Results:
        """Time messages with cold caches; drop those that there is no time for."""
        self._connect(*self._deployments.values())
        bodies = self._store()
        times: dict[str, list[float]] = {name: [] for name in self._deployments}
        asked: set[tuple[str, ...]] = set()
        end = time.monotonic() + seconds
        done = 0
        for draft, body in zip(self._drafts, bodies, strict=True):
            if done and time.monotonic() > end:
                break
            new = (draft.topic, *draft.users) not in asked
            asked.add((draft.topic, *draft.users))
            for name, spent in self._time(done, body).items():
                if new:
                    times[name].append(spent)
            done += 1
        self._drafts = self._drafts[:done]
        results = {f"cold_p99_ms_{name}": _p99(spent) * 1e3 for name, spent in times.items()}
        means = {name: statistics.mean(spent) for name, spent in times.items()}
        results |= {f"cold_mean_ms_{name}": mean * 1e3 for name, mean in means.items()}
        first, *others = means
        results |= {
            f"cold_growth_{name}_over_{first}": means[name] / means[first] for name in others
        }
        return {**results, "cold_filters": float(len(asked)), "triggered_messages": float(done)}

    def warm(self, rounds: int, seconds: float) -> Results:
        """Time messages with warm caches and new messages, and bare round trips in between."""
        means: dict[str, list[float]] = {name: [] for name in self._deployments}
        trips: list[float] = []
        end = time.monotonic() + seconds
        last = list(self._deployments.values())[-1]
        with reader(last.settings.history_url).connect() as connection:
            while len(trips) < rounds and (len(trips) < 2 or time.monotonic() < end):
                spent: dict[str, list[float]] = {name: [] for name in self._deployments}
                bare: list[float] = []
                bodies = self._store()
                with _undisturbed():
                    for number, body in enumerate(bodies):
                        bare.append(_seconds(lambda: connection.execute(_NOTHING).scalar()))
                        for name, each in self._time(number, body).items():
                            spent[name].append(each)
                for name, times in spent.items():
                    means[name].append(statistics.mean(times))
                trips.append(statistics.mean(bare))
            at_once = statistics.median(
                _seconds(lambda: connection.execute(_NOTHING).scalar()) for _ in range(_ROUND_TRIPS)
            )
        names = list(self._deployments)
        return {
            "roundtrip_ms": statistics.median(trips) * 1e3,
            "roundtrip_in_a_row_ms": at_once * 1e3,
            **{f"triggered_ms_{name}": statistics.median(means[name]) * 1e3 for name in names},
            "triggered_over_roundtrip": _ratio(means[names[-1]], trips),
            **{
                f"growth_{name}_over_{names[0]}": _ratio(means[name], means[names[0]])
                for name in names[1:]
            },
            "warm_rounds": float(len(trips)),
        }

    def restarted(self, rounds: int, directory: Path) -> Results:
        """Time what comes up the first time after a restart, beside a daemon that went on."""
        results: Results = {}
        for name, warm in self._deployments.items():
            state = directory / name
            state.mkdir(parents=True)
            settings = dataclasses.replace(warm.settings, state_directory=state)
            saver = CountSaver(settings, warm.history)
            saver.step()
            means: list[tuple[float, float]] = []
            for _ in range(rounds):
                saver.step()
                means.append(self._restart(settings, warm))
            restarted, before = zip(*means, strict=True)
            results[f"restarted_ms_{name}"] = statistics.median(restarted) * 1e3
            results["restarted_over_warm"] = _ratio(restarted, before)
        return results

    def _restart(self, settings: Settings, warm: Deployment) -> tuple[float, float]:
        """Return the mean of what comes up first in another daemon, and of this one."""
        bodies = self._store()
        again = Deployment(settings)
        CountSaver(settings, again.history).step()
        remember_recent_people(again.history, again.store, again.rules)
        self._connect(again)
        spent: dict[Deployment, list[float]] = {again: [], warm: []}
        with _undisturbed():
            for number, body in enumerate(self._first_of_each(bodies)):
                for each in (warm, again) if number % 2 else (again, warm):
                    spent[each].append(_seconds(partial(each.handle, body)))
        return statistics.mean(spent[again]), statistics.mean(spent[warm])

    def _first_of_each(self, bodies: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the first message of each topic about the same people."""
        asked: set[tuple[str, ...]] = set()
        for draft, body in zip(self._drafts, bodies, strict=True):
            if (draft.topic, *draft.users) not in asked:
                asked.add((draft.topic, *draft.users))
                yield body

    def shares(self) -> Results:
        """Count statements and profile the parts of the engine, over the longest history."""
        name = list(self._deployments)[-1]
        deployment = self._deployments[name]
        bodies = self._store()
        urls = deployment.settings.history_url, deployment.settings.tahrir_url
        clocks = _Clocks(deployment)
        with statements(urls[0]) as history, statements(urls[1]) as tahrir, clocks.running():
            for body in bodies:
                clocks.call("handle", deployment.handle, body)
        return {
            "history_statements_per_message": len(history) / len(bodies),
            "tahrir_statements_per_message": len(tahrir) / len(bodies),
            **clocks.shares(),
        }

    def _connect(self, *deployments: Deployment) -> None:
        """Handle one message, so that connections are open and statements are compiled."""
        body = send(Draft(AWARD_TOPIC, {"user": "idle0000"}, ["idle0000"]), "none")
        for deployment in deployments:
            deployment.handle(body)

    def _store(self) -> list[dict[str, Any]]:
        bodies = [send(each, self._traffic.new_id()) for each in self._drafts]
        for history in self._histories.values():
            history.store(zip(self._drafts, bodies, strict=True))
        return bodies

    def _time(self, number: int, body: dict[str, Any]) -> dict[str, float]:
        names = list(self._deployments)
        turn = number % len(names)
        spent: dict[str, float] = {}
        for name in names[turn:] + names[:turn]:
            handle = self._deployments[name].handle
            begin = time.perf_counter()
            handle(body)
            spent[name] = time.perf_counter() - begin
        return spent


class _Clocks:
    """Measures the time of each part of the engine, without the parts that it calls."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._spent: dict[str, float] = {}
        self._within: list[float] = []
        self._statements = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        deployment = self._deployment
        places = (
            ("holdings", deployment.store, "holdings"),
            ("stored", deployment.history, "positions"),
            ("triggers", deployment.engine, "match"),
            ("triggers", deployment.engine, "find_candidates"),
            ("decide", deployment.engine, "decide"),
        )
        for name, place, method in places:
            setattr(place, method, self._wrap(name, getattr(place, method)))
        events = [
            (asked, kind, function)
            for url in (deployment.settings.history_url, deployment.settings.tahrir_url)
            for asked in (engine(url), reader(url))
            for kind, function in (
                ("before_cursor_execute", self._begin),
                ("after_cursor_execute", self._end),
            )
        ]
        for event in events:
            sa.event.listen(*event)
        try:
            yield
        finally:
            for _, place, method in places:
                delattr(place, method)
            for event in events:
                sa.event.remove(*event)

    def call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self._within.append(0.0)
        begin = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self._note(name, time.perf_counter() - begin)

    def shares(self) -> Results:
        """Return the share of each part, and that of waiting for the databases."""
        whole = sum(self._spent.values())
        parts = {
            "triggers": "triggers",
            "holdings": "holdings",
            "stored": "stored",
            "history": "decide",
            "rest": "handle",
        }
        shares = {name: self._spent.get(part, 0.0) / whole for name, part in parts.items()}
        shares["database"] = self._statements / whole
        return {f"profile_{name}": share for name, share in shares.items()}

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: self.call(name, function, *arguments)

    def _begin(self, connection: Any, *rest: Any) -> None:
        connection.info["begin"] = time.perf_counter()

    def _end(self, connection: Any, *rest: Any) -> None:
        self._statements += time.perf_counter() - connection.info["begin"]

    def _note(self, name: str, spent: float) -> None:
        own = spent - self._within.pop()
        self._spent[name] = self._spent.get(name, 0.0) + own
        if self._within:
            self._within[-1] += spent


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Collect garbage before a measurement instead of during it."""
    gc.collect()
    yield


def _seconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the ratio of two series that were measured in turn."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def _p99(times: Sequence[float]) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
