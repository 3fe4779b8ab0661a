"""Completion in shells: the ids of badges that have a rule, and rule files.

A shell asks at each press of Tab, and has no place for errors: what cannot be read offers nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import click

#: Of a large tree, only so many directories are searched for rule files.
_MOST_DIRECTORIES = 500


def complete_badge(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of badges that have a rule in the configured directory."""
    return [badge for badge in _badge_ids(context) if badge.startswith(incomplete)]


def complete_rule(context: click.Context, option: click.Parameter, incomplete: str) -> list[str]:
    """Return the ids of badges and the rule files that begin like this; no id has a slash."""
    badges = [] if "/" in incomplete else complete_badge(context, option, incomplete)
    return [*badges, *_rule_files(incomplete)]


def _badge_ids(context: click.Context) -> list[str]:
    from tahrir_api.utils import convert_name_to_id

    from fedbadges.rules.loader import files_at

    directory = _rules_directory(context)
    files = files_at([directory])[0] if directory is not None else []
    names = {name for file in files for name in _names(file)}
    return sorted(map(convert_name_to_id, names))


def _rules_directory(context: click.Context) -> Path | None:
    """Return the directory of ``--rules``, or else of the configuration; None without either."""
    from fedbadges.cli.deployment import RULES, read_configuration
    from fedbadges.cli.errors import CannotRun

    given = context.params.get("rules")
    if given is None:
        try:
            given = read_configuration(context.params.get("config"), {}).get(RULES)
        except CannotRun:
            return None
    return Path(given) if isinstance(given, str) else None


def _names(file: Path) -> Iterator[str]:
    """Yield the names of the badges in a rule file, whatever else is wrong with it."""
    from fedbadges.errors import RuleError
    from fedbadges.rules.loader import read_file
    from fedbadges.rules.yaml_document import MappingNode, ScalarNode, SequenceNode, parse_document

    try:
        document = parse_document(read_file(file), str(file))
    except RuleError:
        return
    badges = document.get("badges")
    for node in (document, *(badges.items if isinstance(badges, SequenceNode) else ())):
        name = node.get("name") if isinstance(node, MappingNode) else None
        if isinstance(name, ScalarNode) and name.text.strip():
            yield name.text.strip()


def _rule_files(incomplete: str) -> Iterator[str]:
    """Yield the rule files whose paths begin like this, spelled as the beginning is."""
    from fedbadges.rules.loader import RULE_FILES

    above, slash, last = incomplete.rpartition("/")
    start = Path(above + slash)
    walk = os.walk(start, onerror=None)
    for folder, folders, names in itertools.islice(walk, _MOST_DIRECTORIES):
        below = Path(folder).relative_to(start)
        seen = last if below == Path() else ""
        folders[:] = sorted(each for each in folders if each.startswith(seen) and _is_shown(each))
        for name in sorted(names):
            if name.endswith(RULE_FILES) and name.startswith(seen) and _is_shown(name):
                yield above + slash + str(below / name)


def _is_shown(name: str) -> bool:
    return not name.startswith(".")
