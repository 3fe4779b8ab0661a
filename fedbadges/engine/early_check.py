"""Judgements that may be made too early, as an earlier message may be stored later."""

import contextlib
import math

from fedbadges.history.judgements import Judgements
from fedbadges.messages import Position
from fedbadges.rules.criteria import Question, backend_criteria, filters
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.operators import RULE_ERRORS
from fedbadges.rules.rule import Rule


class EarlyCheck:
    """Collects the filters of what a message did not earn, as it may be judged too early."""

    def __init__(self, judgements: Judgements | None, position: Position | None) -> None:
        # What is not stored comes again in any case.
        is_stored = position is not None and math.isfinite(position[1])
        self._judgements = judgements if is_stored else None
        self._position = position
        self._filters: set[FilledFilter] = set()
        if self._judgements is not None and position is not None:
            self._horizon = self._judgements.horizon(position)

    def note(self, rule: Rule, question: Question) -> None:
        """Note that criteria do not hold."""
        if self._judgements is None:
            return
        for criterion in backend_criteria(rule.criteria):
            if filters(criterion):
                with contextlib.suppress(*RULE_ERRORS):  # no message can change that
                    self._filters.add(criterion.filled(question))

    def remember(self) -> None:
        """Remember the judgement, if a message stored later may change it."""
        if self._judgements is not None and self._position is not None and self._filters:
            self._judgements.add(self._position, self._horizon, self._filters)
