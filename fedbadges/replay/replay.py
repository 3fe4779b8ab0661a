"""The replay itself: goes through the whole history once, and finds who earned what on the way.

The engine decides on each message as if it had just been stored. Behind the criteria, past messages
are those up to it; and holdings in memory, of what was earned so far, replace tahrir's.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import Datanommer, past_messages
from fedbadges.criteria.tahrir import HeldBadges
from fedbadges.engine.current_values import Judged, current_values
from fedbadges.engine.engine import BadgeEngine, Earned, Shared, Triggered
from fedbadges.engine.funnel import Funnel
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.statistics import RuleStatistics
from fedbadges.errors import DamagedRow, Unavailable
from fedbadges.history.rows import body_of
from fedbadges.messages import Message, parse_message
from fedbadges.replay.held_as_of import HeldAsOf
from fedbadges.replay.history_as_of import Asked, HistoryAsOf
from fedbadges.replay.history_stream import HistoryEntry, HistoryStream, everything
from fedbadges.replay.replayed_holdings import ReplayedHoldings
from fedbadges.replay.selection import EVERYTHING, Selection
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import DEFAULT_BACKEND, Backends, Question
from fedbadges.rules.held_badges import BACKEND, Held
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import RULE_ERRORS
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir
from fedbadges.util.garbage import only_new_garbage

T = TypeVar("T")

#: Returns what is needed of the messages of a topic and a category; None if nothing is.
Needs = Callable[[str, str], Collection[str] | None]

#: For how many topics it is cached who needs their messages.
_MOST_TOPICS = 10_000


class Replay:
    """Replays the history. Nothing is read before it runs.

    Rules must be loaded with its ``backends``. ``source`` knows who opted out, and from whom badges
    were revoked; without it, nobody has. While and after it runs, ``done`` of ``total`` messages
    have been read.

    ``peaks`` are the highest values that criteria had, by badge id and candidate: at messages that
    triggered the rule, also after the badge was earned, of rules with one criterion over past
    messages that compares with a number. ``asked_for_peaks`` is what that took of the database
    beside what the awards took. ``funnel`` has how far messages got with a rule.
    ``values`` are how far candidates were when they last were one, by badge id and name, and when
    that was.
    """

    def __init__(self, settings: Settings, source: Tahrir | None = None) -> None:
        self._settings = settings
        self._source = source
        self._stream = HistoryStream(settings)
        self._history = HistoryAsOf(settings)
        self._recipients = RecipientFinder(
            settings, FedmsgUsernames(settings.fedmsg), make_accounts(settings)
        )
        self.peaks: dict[str, dict[str, int]] = {}
        self.asked_for_peaks = Asked()
        self.values: dict[tuple[str, str], tuple[int, datetime.datetime]] = {}
        self._with_values = False
        self._selection = EVERYTHING
        self._statistics = RuleStatistics()
        self._rules = RuleSet(())
        self._needs = functools.lru_cache(_MOST_TOPICS)(self._find_needs)
        self._counted = functools.lru_cache(_MOST_TOPICS)(self._history.needs)
        self._triggers = functools.lru_cache(_MOST_TOPICS)(self._can_trigger)
        self.backends: Backends = {
            **load_backends(settings),
            DEFAULT_BACKEND: Datanommer(settings, self._history),
            BACKEND: HeldBadges(settings, self._held_by),
        }
        #: Who held which badges; None where no rule asks.
        self._held: HeldAsOf | None = None
        self.done = 0
        self.total = 0

    def run(
        self,
        rules: Iterable[Rule],
        *,
        measure: bool = True,
        skip_held: bool = False,
        values: bool = False,
        following: Sequence[Rule] = (),
        selection: Selection = EVERYTHING,
    ) -> Iterator[Earned]:
        """Yield who earned what, the oldest first; raise Unavailable.

        Messages that are stored meanwhile are not read. Without ``measure`` there are no peaks, and
        it is faster. With ``skip_held``, badges are left out that their earners hold according to
        the source. Only with ``values`` it is noted how far people are. ``selection`` says which
        messages may earn badges, and whose badges are looked at. ``following`` are rules without
        triggers, for those who are awarded a badge by the others.
        """
        self.values, self._with_values = {}, values
        self._selection = selection
        self._rules = RuleSet(rules)
        self._needs.cache_clear()
        self._counted.cache_clear()
        self._triggers.cache_clear()
        self._history.reset(self._rules)
        holdings = self._holdings_for(following, skip_held=skip_held)
        self.peaks = {rule.badge.id: {} for rule in self._rules if measure and _has_peaks(rule)}
        self.asked_for_peaks = Asked()
        engine = BadgeEngine(self._settings, holdings, self._recipients, self._rules)
        self._statistics = engine.statistics
        self.done, self.total = 0, self._stream.start()
        if len(self._rules) > len(self._rules.untriggered):
            with only_new_garbage():
                for count, entries in _prefetch(self._batches()):
                    yield from self._replay(entries, engine, holdings)
                    self.done += count
            self._stream.damage.finish()
        else:
            self.done = self.total
        if self._held is not None:
            yield from self._selected(self._held.finish())

    def _holdings_for(self, following: Sequence[Rule], *, skip_held: bool) -> ReplayedHoldings:
        """Return what stands for tahrir, and prepare for rules that ask which badges are held."""
        untriggered = self._rules.untriggered
        ids = dict.fromkeys(rule.badge.id for rule in (*self._rules, *following))
        banned = self._settings.banned_usernames
        holdings = ReplayedHoldings(self._source, list(ids), banned, skip_held=skip_held)
        self._held = None
        if following or any(rule.asks_for_badges for rule in self._rules):
            fresh = [] if skip_held else [rule.badge.id for rule in untriggered]
            self._held = HeldAsOf(self._source, holdings, untriggered, following, fresh)
        return holdings

    def _held_by(self, name: str) -> Held:
        return {} if self._held is None else self._held.held_by(name)

    def _selected(self, earned: Iterable[Earned]) -> Iterator[Earned]:
        """Yield the awards that are selected, and count them."""
        for each in earned:
            if self._selection.has(each.username) and self._selection.takes(each.message.sent):
                self._statistics.awarded(each.rule.badge.id, each.username, each.message)
                yield each

    def funnel(self, rule: Rule) -> Funnel:
        """Return how far the messages that were read got with a rule."""
        return self._statistics.funnel(rule.badge.id)

    def _batches(self) -> Iterator[tuple[int, list[HistoryEntry]]]:
        for headers, size in self._stream.headers(self._matters):
            if headers and self._selection.is_over(headers[0].timestamp):
                return
            # What is too old to trigger a rule is only counted.
            old = bool(headers) and self._selection.is_before(headers[-1].timestamp)
            needs = self._counted if old else self._needs
            needed = [each for each in headers if needs(each.topic, each.category) is not None]
            yield size, self._stream.entries(needed, partial(_or_nothing, needs))

    def _matters(self, topic: str, category: str) -> bool:
        return self._needs(topic, category) is not None

    def _find_needs(self, topic: str, category: str) -> Collection[str] | None:
        """Return what is needed of a message; None if it does not matter."""
        if self._triggers(topic):
            return everything(topic, category)
        return self._history.needs(topic, category)

    def _can_trigger(self, topic: str) -> bool:
        """Return True if a message of this topic can trigger a rule."""
        return bool(self._rules.concerned(Message(topic, {}, 0.0)))

    def _replay(
        self, entries: Sequence[HistoryEntry], engine: BadgeEngine, holdings: ReplayedHoldings
    ) -> Iterator[Earned]:
        matches = [
            self._match(entry, engine) if self._may_earn(entry) else None for entry in entries
        ]
        people = [pair for triggered in matches if triggered for pair in triggered.people]
        names = {name for _, each in people for name in each}
        holdings.load(names)
        if self._held is not None:
            self._held.load(names)
        for entry, triggered in zip(entries, matches, strict=True):
            self._history.see(entry)
            if triggered is not None:
                yield from self._decide(triggered.at(entry.position), engine, holdings)

    def _may_earn(self, entry: HistoryEntry) -> bool:
        """Return True if a message can trigger a rule, and is selected."""
        return self._selection.takes(entry.timestamp) and self._triggers(entry.topic)

    def _match(self, entry: HistoryEntry, engine: BadgeEngine) -> Triggered | None:
        try:
            body = body_of(entry.row, entry.msg)
        except DamagedRow as error:
            self._stream.damage.add(entry.number, entry.msg_id, error)
            return None
        message = parse_message(body, frozenset(entry.users), number=entry.number)
        triggered = None if message is None else engine.match(message)
        return None if triggered is None else self._selection.narrow(triggered)

    def _decide(
        self, triggered: Triggered, engine: BadgeEngine, holdings: ReplayedHoldings
    ) -> Iterator[Earned]:
        shared: Shared = {}
        for rule, names in triggered.people:
            peaks = self.peaks.get(rule.badge.id)
            if peaks is not None:
                people = [name for name in names if name not in holdings.opted_out]
                holders = [name for name in people if holdings.holds(name, rule.badge.id)]
                _measure(peaks, rule, set(people).difference(holders), triggered, shared)
                before = self._history.asked
                _measure(peaks, rule, holders, triggered, shared)
                self.asked_for_peaks += self._history.asked - before
        if self._held is not None:
            everybody = dict.fromkeys(name for _, names in triggered.people for name in names)
            for name in everybody:
                yield from self._selected(self._held.advance(name, triggered.message.sent))
        (candidates,) = engine.find_candidates([triggered])
        if candidates is not None:
            if self._with_values:
                self._note_values(candidates)
            earned = holdings.within_limits(engine.judge(candidates, shared))
            engine.award(earned)
            yield from self._selected(earned)
            if self._held is not None:
                for each in earned:
                    yield from self._selected(self._held.add(each))

    def _note_values(self, candidates: Triggered) -> None:
        message, position = candidates.message, candidates.known_position
        judged = [
            Judged(rule, name, message, position)
            for rule, names in candidates.people
            for name in names
        ]
        for each, value in current_values(judged).items():
            self.values[each.pair] = value, each.as_of


def _or_nothing(needs: Needs, topic: str, category: str) -> Collection[str]:
    return needs(topic, category) or ()


def _has_peaks(rule: Rule) -> bool:
    criterion = past_messages(rule.criteria)
    return criterion is not None and isinstance(criterion.condition, Comparison)


def _measure(
    peaks: dict[str, int], rule: Rule, names: Iterable[str], triggered: Triggered, shared: Shared
) -> None:
    criterion = past_messages(rule.criteria)
    assert criterion is not None
    for name in names:
        question = Question(
            triggered.message,
            name if rule.names_recipient else None,
            batch_cache=shared,
            position=triggered.position,
        )
        try:
            value = criterion.value(question)
        except Unavailable:
            raise
        except RULE_ERRORS:  # the engine logs it
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            peaks[name] = max(peaks.get(name, value), value)


def _prefetch(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, while a thread waits for the next one; raise what the iterator raises."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="fedbadges-prefetch") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
