"""Tracing how a trigger or criteria decide: what each part answered, and from what."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import Place
from fedbadges.rules.criteria import Question
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, operands
from fedbadges.rules.triggers import LambdaTrigger

#: The key of a lambda's value, among the details of a trigger.
LAMBDA_VALUE = "gave"


@dataclass(eq=False)
class Traced:
    """Stands for a check, has that decide, and records its answer.

    ``check`` is the one of the rule, ``parts`` are those that it combines. After it was asked it
    has its ``answer``, or what it ``raised``; neither, where it was not asked. ``details`` are what
    it said of how it came to its answer.
    """

    check: Check[Any]
    parts: tuple[Traced, ...] = ()
    answer: bool | None = None
    raised: BaseException | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Return where the rule has the check."""
        return self.check.place

    @property
    def asked(self) -> bool:
        """Return True if the answers before it did not settle the whole."""
        return self.answer is not None or self.raised is not None

    def holds(self, subject: Any) -> bool:
        """Ask the check itself, with traced parts; raises what it raises."""
        if isinstance(subject, Question):
            subject = replace(subject, observer=self.details.__setitem__)
        try:
            self.answer = bool(self._check().holds(subject))
        except BaseException as error:
            self.raised = error
            raise
        return self.answer

    def _check(self) -> Check[Any]:
        if isinstance(self.check, (AllOf, AnyOf)):
            return replace(self.check, parts=self.parts)
        if isinstance(self.check, Not):
            return replace(self.check, part=self.parts[0])
        if isinstance(self.check, LambdaTrigger):
            return replace(self.check, expression=self._recording(self.check))
        return self.check

    def _recording(self, check: LambdaTrigger) -> Any:
        def function(value: Any, filled: tuple[Any, ...]) -> Any:
            self.details[LAMBDA_VALUE] = found = check.expression.function(value, filled)
            return found

        return replace(check.expression, function=function)


def trace(check: Check[Any]) -> Traced:
    """Return a traced check, with all its parts traced."""
    return Traced(check, tuple(trace(part) for part in operands(check)))
