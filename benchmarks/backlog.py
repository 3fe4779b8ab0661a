"""Makes the messages that a bus brings: a few that trigger, and those that concern no rule."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from databases import PACE
from deployment import AWARD_TOPIC
from traffic import Draft, Traffic, send

#: Of so many messages, one triggers.
_ONE_IN = 10

Bodies = list[dict[str, Any]]


class Backlog:
    """Messages of which the last earns a badge; ``idle`` are people who have no badges yet."""

    def __init__(
        self,
        triggering: Sequence[Draft],
        others: Sequence[Draft],
        traffic: Traffic,
        idle: Iterator[str],
        chance: random.Random,
    ) -> None:
        self.triggering = triggering
        self._others = others
        self._traffic = traffic
        self._idle = idle
        self._chance = chance

    def mix(self, count: int) -> list[Draft]:
        return [
            self._chance.choice(self._others if number % _ONE_IN else self.triggering)
            for number in range(count)
        ]

    def ending(self) -> Draft:
        name = next(self._idle)
        return Draft(AWARD_TOPIC, {"user": name}, [name])

    def sent_now(self, drafts: Sequence[Draft], ending: Draft) -> Bodies:
        return [send(each, self._traffic.new_id()) for each in (*drafts, ending)]

    def stored(
        self,
        rounds: Sequence[Sequence[Draft]],
        store: Callable[[Iterable[tuple[Draft, dict[str, Any]]]], None],
    ) -> list[Bodies]:
        """Return messages for several rounds that datanommer has stored already.

        Their timestamps follow each other at the rate of the bus; the last one is now.
        """
        wholes = [[*drafts, self.ending()] for drafts in rounds]
        when = time.time() - sum(map(len, wholes)) / PACE
        made: list[Bodies] = []
        for whole in wholes:
            bodies = [
                send(each, self._traffic.new_id(), when + number / PACE)
                for number, each in enumerate(whole)
            ]
            when += len(whole) / PACE
            store(zip(whole, bodies, strict=True))
            made.append(bodies)
        return made
