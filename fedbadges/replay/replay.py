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
from fedbadges.engine.current_values import Judged, current_values
from fedbadges.engine.engine import BadgeEngine, Earned, Shared, Triggered
from fedbadges.engine.funnel import Funnel
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.statistics import RuleStatistics
from fedbadges.errors import DamagedRow, Unavailable
from fedbadges.history.rows import body_of
from fedbadges.messages import Message, parse_message
from fedbadges.replay.history_as_of import Asked, HistoryAsOf
from fedbadges.replay.history_stream import HistoryEntry, HistoryStream, everything
from fedbadges.replay.selection import EVERYTHING, Selection
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import DEFAULT_BACKEND, Backends, Question
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import RULE_ERRORS
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings, Revocation
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
        }
        self.done = 0
        self.total = 0

    def run(
        self,
        rules: Iterable[Rule],
        *,
        measure: bool = True,
        skip_held: bool = False,
        values: bool = False,
        selection: Selection = EVERYTHING,
    ) -> Iterator[Earned]:
        """Yield who earned what, the oldest first; raise Unavailable.

        Messages that are stored meanwhile are not read. Without ``measure`` there are no peaks, and
        it is faster. With ``skip_held``, badges are left out that their earners hold according to
        the source. Only with ``values`` it is noted how far people are. ``selection`` says which
        messages may earn badges, and whose badges are looked at.
        """
        self.values, self._with_values = {}, values
        self._selection = selection
        self._rules = RuleSet(rules)
        self._needs.cache_clear()
        self._counted.cache_clear()
        self._triggers.cache_clear()
        self._history.reset(self._rules)
        badge_ids = [rule.badge.id for rule in self._rules]
        holdings = _ReplayedHoldings(self._source, badge_ids, skip_held=skip_held)
        self.peaks = {rule.badge.id: {} for rule in self._rules if measure and _has_peaks(rule)}
        self.asked_for_peaks = Asked()
        engine = BadgeEngine(self._settings, holdings, self._recipients, self._rules)
        self._statistics = engine.statistics
        self.done, self.total = 0, self._stream.start()
        with only_new_garbage():
            for count, entries in _prefetch(self._batches()):
                yield from self._replay(entries, engine, holdings)
                self.done += count
        self._stream.damage.finish()

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
        self, entries: Sequence[HistoryEntry], engine: BadgeEngine, holdings: _ReplayedHoldings
    ) -> Iterator[Earned]:
        matches = [
            self._match(entry, engine) if self._may_earn(entry) else None for entry in entries
        ]
        people = [pair for triggered in matches if triggered for pair in triggered.people]
        holdings.load(name for _, names in people for name in names)
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
        self, triggered: Triggered, engine: BadgeEngine, holdings: _ReplayedHoldings
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
        (candidates,) = engine.find_candidates([triggered])
        if candidates is not None:
            if self._with_values:
                self._note_values(candidates)
            earned = engine.judge(candidates, shared)
            engine.award(earned)
            for each in earned:
                message = each.message
                self._statistics.awarded(each.rule.badge.id, each.username, message)
            yield from earned

    def _note_values(self, candidates: Triggered) -> None:
        message, position = candidates.message, candidates.known_position
        judged = [
            Judged(rule, name, message, position)
            for rule, names in candidates.people
            for name in names
        ]
        for each, value in current_values(judged).items():
            self.values[each.pair] = value, each.as_of


class _ReplayedHoldings:
    """What was earned in the replay so far, in place of what tahrir has."""

    def __init__(self, source: Tahrir | None, badge_ids: Sequence[str], *, skip_held: bool) -> None:
        self._source = source
        self._skip_held = skip_held
        self._badge_ids = badge_ids
        self._loaded: set[str] = set()
        self._held: dict[tuple[str, str], datetime.datetime] = {}
        self._revoked: dict[tuple[str, str], Revocation] = {}
        self.opted_out: set[str] = set()

    def load(self, names: Iterable[str]) -> None:
        """Ask the source who of these has opted out, or lost or holds a badge, if that matters."""
        new = set(names) - self._loaded
        if self._source is not None and new:
            self._loaded |= new
            known = self._source.holdings(new, self._badge_ids)
            self.opted_out |= known.opted_out
            self._revoked |= known.revoked
            if self._skip_held:
                self._held |= known.held

    def holds(self, username: str, badge_id: str) -> bool:
        """Return True if somebody holds a badge by now."""
        return (username, badge_id) in self._held

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who holds what by now, who lost what, and who opted out, of everybody."""
        return Holdings(self._held, self.opted_out, self._revoked)

    def award(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Add awards; nothing is announced."""
        self._held.update(((award.username, award.badge_id), award.issued_on) for award in awards)
        return BulkAwardResult()


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
