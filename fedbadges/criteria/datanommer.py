"""The criteria backend ``datanommer``: what a rule asks of the past messages."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from fedbadges.accounts.service import make_accounts
from fedbadges.config.settings import Settings
from fedbadges.history.history import History
from fedbadges.rules.conditions import CONDITION_KIND, Condition
from fedbadges.rules.criteria import (
    DEFAULT_BACKEND,
    Backends,
    PlacedCriterion,
    Question,
)
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FILTER_KIND, FilledFilter, Filter, Pages
from fedbadges.rules.grammar import FieldSpec, Schema, record_of
from fedbadges.rules.operations import OPERATION_KIND, Operation
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import RECIPIENT
from fedbadges.rules.yaml_document import Node
from fedbadges.util.caching import BoundedDict

_QUESTION = record_of(
    "datanommer criteria",
    {
        "filter": FieldSpec(FILTER_KIND, "Which past messages the question is about.", True),
        "operation": FieldSpec(
            OPERATION_KIND, "What to compute over them, such as their count.", True
        ),
        "condition": FieldSpec(CONDITION_KIND, "What the result must satisfy.", True),
    },
    full=True,
)

#: The details of an answer: the filled filter, the result of the operation, and whether that is a
#: count that stopped when the condition was decided.
FILTER, VALUE, AT_LEAST = "filter", "value", "at least"

#: Returns when an account was created, naive UTC, if that is known; raises Unavailable.
Created = Callable[[str], datetime.datetime | None]

_NOT_BOTH = (
    "a lambda sees whatever the other keys of the filter select; say in the lambda what 'fields' "
    "says, or use another operation, such as 'count'"
)

#: How many filters of rules are shared.
_MOST_FILTERS = 10_000


def _unless_none(choose: Callable[[int, int], int], one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else choose(one, two)


#: Where a batch cache has how far to count.
_LIMITS = "limits"


class _Limits(NamedTuple):
    """How far to count: counts from ``enough`` on are alike, and so are those below ``needed``."""

    enough: int | None
    needed: int | None

    def with_limits(self, other: "_Limits") -> "_Limits":
        """Return limits that are right for both conditions."""
        return _Limits(
            _unless_none(max, self.enough, other.enough),
            _unless_none(min, self.needed, other.needed),
        )


@dataclass(frozen=True)
class PastMessages:
    """A criterion over the history: a filter, an operation over it, and a condition.

    ``shared_filter`` is one object for all rules whose filters are equal, so that these rules fill
    it in once for a message. With ``created``, which knows when an account was created, it is
    judged for each candidate, and no message counts that is older than the account.
    """

    filter: Filter
    operation: Operation
    condition: Condition
    history: History
    shared_filter: Filter = field(compare=False, repr=False)
    created: Created | None = field(default=None, compare=False, repr=False)

    needs_history = True

    @property
    def names_recipient(self) -> bool:
        """Return True if the filter names the candidate, or their account matters."""
        return self.created is not None or self.filter.names_recipient

    @property
    def only_grows(self) -> bool:
        """Return True if it holds whatever past messages are stored later, once it holds."""
        expression = self.operation.expression
        counts = expression is None or (
            expression.test is not None and self.filter.pages.everything
        )
        return counts and self.condition.needed is not None

    def with_user_paths(self, paths: frozenset[str]) -> "PastMessages":
        """Return the criterion for a rule in which the templates with these paths name users."""
        return replace(self, operation=self.operation.with_user_paths(paths))

    def holds(self, subject: Question) -> bool:
        """Return True if the result of the operation satisfies the condition."""
        value = self.value(subject)
        subject.tell(VALUE, value)
        return self.condition.holds(value)

    def cannot_hold(self, subject: Question) -> bool:
        """Return True if there are too few messages by now, where that is quick to find."""
        needed, position = self.condition.needed, subject.position
        if needed is None or position is None or not self.history.is_backlog(position):
            return False
        filled = self.filled(subject)
        if not self._counts(filled):
            return False
        message, expression = subject.message, self._expression(subject)
        return self.history.count(filled, needed, message, expression, subject.batch_cache) < needed

    def value(self, subject: Question) -> Any:
        """Return the result of the operation, computed once for all rules that ask the same."""
        filled = self.filled(subject)
        subject.tell(FILTER, filled)
        expression = self._expression(subject)
        if expression is None or self._counts(filled):
            return self._count(subject, filled)
        history, message, until = self.history, subject.message, subject.position
        folds = expression.fold is not None and filled.pages.in_order
        return subject.once_in_batch(
            self._key(subject, filled),
            lambda: (
                history.fold(expression, filled, message, until, subject.batch_cache)
                if folds
                else history.compute(expression, filled, message, until)
            ),
        )

    def plan(self, subject: Question) -> None:
        """Note, in the batch cache, how far to count so that it is enough for every rule."""
        filled = self.filled(subject)
        if not self._counts(filled):
            return
        limits = subject.batch_cache.setdefault(_LIMITS, {})
        key = self._key(subject, filled)
        limits[key] = limits.get(key, self._limits).with_limits(self._limits)

    def read(self, subject: Question) -> None:
        """Raise MissingValue if the message lacks what a template names."""
        self.filled(subject)
        expression = self._expression(subject)
        if expression is not None:
            expression.fill(subject.message.values)

    def filled(self, subject: Question) -> FilledFilter:
        """Return the filter with its values, filled in once for all rules with the same."""
        filled = subject.once_in_batch(
            (id(self.shared_filter), id(subject.message), subject.recipient),
            lambda: self.shared_filter.fill(subject.message, subject.recipient),
        )
        if self.created is None or subject.recipient is None:
            return filled
        created = self.created(subject.recipient)
        return filled if created is None else filled.since(created)

    def _expression(self, subject: Question) -> Expression | None:
        """Return what the operation computes for a candidate."""
        expression = self.operation.expression
        if expression is None or subject.recipient is None or not self._fields_name_recipient:
            return expression
        return replace(expression, recipient=subject.recipient)

    @cached_property
    def _fields_name_recipient(self) -> bool:
        fields = self.filter.fields
        return fields is not None and any(path.dotted == RECIPIENT for path in fields.paths)

    @cached_property
    def _limits(self) -> _Limits:
        return _Limits(self.condition.enough, self.condition.needed)

    def _counts(self, filled: FilledFilter) -> bool:
        """Return True if the operation counts messages one by one."""
        expression = self.operation.expression
        return expression is None or (expression.test is not None and filled.pages.everything)

    def _key(self, subject: Question, filled: FilledFilter) -> tuple[Any, ...]:
        """Return what distinguishes the result, which may depend on templates of the operation."""
        expression = self.operation.expression
        templates = expression is not None and expression.paths
        return (
            filled,
            self.operation,
            subject.position,
            (id(subject.message), subject.recipient) if templates else None,
        )

    def _count(self, subject: Question, filled: FilledFilter) -> int:
        """Count once for all rules that ask the same, no further than their conditions need."""
        key = self._key(subject, filled)
        planned = subject.batch_cache.get(_LIMITS)
        limits = self._limits if planned is None else planned.get(key, self._limits)
        # Whoever observes is told the number as of the position.
        needed = limits.needed if subject.observer is None else None
        found = subject.once_in_batch(
            key,
            lambda: self.history.count(
                filled,
                limits.enough,
                subject.message,
                self._expression(subject),
                subject.batch_cache,
                until=subject.position,
                needed=needed,
            ),
        )
        subject.tell(AT_LEAST, limits.enough is not None and found >= limits.enough)
        return found


class Datanommer:
    """The criteria backend ``datanommer``.

    ``history`` replaces that of the settings, and ``created`` what their accounts service knows.
    """

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = {
        "description": "What the past messages say.",
        **_QUESTION.schema,
    }

    def __init__(
        self,
        settings: Settings,
        history: History | None = None,
        created: Created | None = None,
    ) -> None:
        self.history = history or History(settings)
        self._created = created or make_accounts(settings).created
        # Rules of a series have equal filters; a shared one is filled in once for all of them.
        self._filters: BoundedDict[Filter, Filter] = BoundedDict(_MOST_FILTERS)

    def parse(self, node: Node, problems: Problems) -> PastMessages | None:
        """Parse filter, operation and condition; return None if anything is wrong."""
        before = len(problems)
        found = _QUESTION.read(node, "criteria", problems)
        if found is None or len(problems) > before:
            return None
        chosen: Filter = found.values["filter"]
        operation: Operation = found.values["operation"]
        if chosen.fields is not None:
            if operation.has_lambda:
                problems.add(chosen.places["fields"], _NOT_BOTH)
                return None
            operation = operation.narrowed(chosen.fields)
            # Only a lambda sees pages.
            chosen = replace(chosen, pages=Pages())
        condition: Condition = found.values["condition"]
        return self._ask(chosen, operation, condition)

    def ask(self, chosen: Filter, operation: Operation, condition: Condition) -> PastMessages:
        """Return a criterion that is judged for each candidate, since there is their account."""
        return replace(self._ask(chosen, operation, condition), created=self._created)

    def _ask(self, chosen: Filter, operation: Operation, condition: Condition) -> PastMessages:
        self._filters[chosen] = shared = self._filters.get(chosen, chosen)
        question = PastMessages(chosen, operation, condition, self.history, shared)
        return question.with_user_paths(chosen.user_paths)


def past_messages(check: object) -> PastMessages | None:
    """Return the criterion if ``check`` is a single one over the history, or else None."""
    criterion = check.criterion if isinstance(check, PlacedCriterion) else None
    return criterion if isinstance(criterion, PastMessages) else None


def shared_history(backends: Backends, settings: Settings) -> History:
    """Return the history that the criteria use, in order to share its caches."""
    backend = backends.get(DEFAULT_BACKEND)
    return backend.history if isinstance(backend, Datanommer) else History(settings)
