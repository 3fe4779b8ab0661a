"""``fedbadges diff``: who would gain or lose a badge between two versions of a rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.completion import complete_rule
from fedbadges.cli.deployment import RULES, TAHRIR, Deployment, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.terminal import (
    following,
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from rich.text import Text

    from fedbadges.engine.engine import Earned
    from fedbadges.rules.rule import Rule

_EPILOG = """\b
Examples:
  fedbadges diff scribe rules/wiki/scribe.yml
  git show HEAD:rules/scribe.yml > /tmp/old.yml; fedbadges diff /tmp/old.yml rules/scribe.yml
  fedbadges diff --format json old.yml new.yml

\b
As with diff, the exit code is 0 if nobody would gain or lose anything, 1 if
somebody would, and 2 if that is not known.
"""

#: The kinds of differences, with their styles.
_GAINS, _LOSES, _OTHER_TIME = "gains", "loses", "moves"
_STYLES = {_GAINS: "green", _LOSES: "red", _OTHER_TIME: "yellow"}


@dataclass
class BadgeDiff:
    """What the versions award of one badge, by name."""

    badge: str
    old: dict[str, Earned] = field(default_factory=dict)
    new: dict[str, Earned] = field(default_factory=dict)

    def differences(self, kind: str) -> list[tuple[Earned | None, Earned | None]]:
        """Return what is earned by the old and the new version where that is of this kind."""
        pairs = [(self.old.get(name), self.new.get(name)) for name in {**self.old, **self.new}]
        chosen = [pair for pair in pairs if _kind(*pair) == kind]
        return sorted(chosen, key=lambda pair: _latest(pair).position)


@click.command(epilog=_EPILOG)
@click.argument("old", metavar="OLD", shell_complete=complete_rule)
@click.argument("new", metavar="NEW", shell_complete=complete_rule)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="NUMBER",
    help="How many people text shows of each kind; JSON has all.",
)
@format_option()
@with_deployment(RULES, TAHRIR)
def diff(deployment: Deployment, old: str, new: str, limit: int, form: str) -> None:
    """Show who would gain or lose a badge between two versions of its rule, over the history.

    OLD and NEW are rule files, or ids of badges with a rule. The badges of a series are compared by
    their ids; if there is one on each side, its name may differ. The whole history is read, as by
    'fedbadges preview'. Nothing is awarded, and nobody who has a badge loses it.
    """
    from fedbadges.replay.comparing import RuleComparison

    comparison = RuleComparison(deployment.settings)
    versions = [deployment.chosen([name], comparison.backends) for name in (old, new)]
    found = _empty(*versions)
    try:
        with following("Reading the history", lambda: comparison.reached):
            for is_new, earned in comparison.run(*versions):
                badge = found[earned.rule.badge.id]
                (badge.new if is_new else badge.old)[earned.username] = earned
    except KeyboardInterrupt:
        raise CannotRun("Stopped before the end of the history: the result is not known") from None
    badges = list({each.badge: each for each in found.values()}.values())
    if form == "json":
        print_json({"badges": [_data(each) for each in badges]})
    else:
        for each in badges:
            print_lines(*_lines(each, old, new, limit))
    differ = any(each.differences(kind) for each in badges for kind in _STYLES)
    raise SystemExit(FOUND if differ else GOOD)


def _empty(old: Sequence[Rule], new: Sequence[Rule]) -> dict[str, BadgeDiff]:
    """Return by id what is to be filled; a single badge on each side is one and the same."""
    if len(old) == len(new) == 1:
        only = BadgeDiff(new[0].badge.id)
        return {old[0].badge.id: only, new[0].badge.id: only}
    return {rule.badge.id: BadgeDiff(rule.badge.id) for rule in (*old, *new)}


def _kind(old: Earned | None, new: Earned | None) -> str | None:
    """Return the kind of a difference; None if there is none."""
    if old is None:
        return _GAINS
    if new is None:
        return _LOSES
    return None if old.position == new.position else _OTHER_TIME


def _latest(pair: tuple[Earned | None, Earned | None]) -> Earned:
    old, new = pair
    found = new or old
    assert found is not None
    return found


def _lines(badge: BadgeDiff, old: str, new: str, limit: int) -> Iterable[Any]:
    """Yield the lines about a badge."""
    before, after = len(badge.old), len(badge.new)
    title = make_text((badge.badge, "bold"), f": {before:,} by {old}, {after:,} by {new}")
    numbers = {kind: len(badge.differences(kind)) for kind in _STYLES}
    if not any(numbers.values()):
        yield make_text((badge.badge, "bold"), f": {after:,} by both, and nobody differs")
        return
    yield title
    table = make_table()
    for kind, number in numbers.items():
        for pair in badge.differences(kind)[:limit]:
            table.add_row(*_row(kind, pair))
        if number > limit:
            table.add_row("", make_text((f"and {number - limit:,} more {kind}", "dim")))
    yield table


def _row(kind: str, pair: tuple[Earned | None, Earned | None]) -> Iterable[Text]:
    old, new = pair
    earned = _latest(pair)
    when = f"{earned.message.sent:%Y-%m-%d %H:%M}"
    if old is not None and new is not None:
        when = f"{old.message.sent:%Y-%m-%d %H:%M} to {when}"
    yield make_text((f"  {kind}", _STYLES[kind]))
    yield make_text((earned.username, "bold"))
    yield make_text(when)
    yield make_text((" ".join(filter(None, (earned.message.topic, earned.message.msg_id))), "dim"))


def _data(badge: BadgeDiff) -> dict[str, Any]:
    kinds = {
        kind: [
            {"user": _latest(pair).username, "old": _earned(pair[0]), "new": _earned(pair[1])}
            for pair in badge.differences(kind)
        ]
        for kind in _STYLES
    }
    return {"badge": badge.badge, "old": len(badge.old), "new": len(badge.new), **kinds}


def _earned(earned: Earned | None) -> dict[str, Any] | None:
    if earned is None:
        return None
    message = earned.message
    return {
        "when": f"{message.sent.isoformat()}Z",
        "topic": message.topic,
        "msg_id": message.msg_id,
    }
