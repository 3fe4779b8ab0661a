"""Watching a trigger or criteria decide: what each part answered, and from what.

The parts decide by themselves, as ever. Before each of them stands somebody who takes notes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import Place
from fedbadges.rules.criteria import Question
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, operands
from fedbadges.rules.triggers import LambdaTrigger

#: What the lambda of a trigger gave, among what is told.
GAVE = "gave"


@dataclass(eq=False)
class Traced:
    """Stands for a check, and notes how it goes.

    ``check`` is the one of the rule, ``parts`` are those that it combines. After it was asked it
    has its ``answer``, or what it ``raised``; neither, where it was not asked. ``told`` is what it
    said of how it came to its answer.
    """

    check: Check[Any]
    parts: tuple[Traced, ...] = ()
    answer: bool | None = None
    raised: BaseException | None = None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Return where the rule has the check."""
        return self.check.place

    @property
    def asked(self) -> bool:
        """Whether the answers before it left anything to ask it."""
        return self.answer is not None or self.raised is not None

    def holds(self, subject: Any) -> bool:
        """Ask the check itself, with watched parts; raises what it raises."""
        if isinstance(subject, Question):
            subject = replace(subject, observer=self.told.__setitem__)
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
            return replace(self.check, expression=self._listening(self.check))
        return self.check

    def _listening(self, check: LambdaTrigger) -> Any:
        def function(value: Any, filled: tuple[Any, ...]) -> Any:
            self.told[GAVE] = found = check.expression.function(value, filled)
            return found

        return replace(check.expression, function=function)


def trace(check: Check[Any]) -> Traced:
    """Return what stands for a check, and for all its parts."""
    return Traced(check, tuple(trace(part) for part in operands(check)))
