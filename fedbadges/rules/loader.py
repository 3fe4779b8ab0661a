"""Finding the rule files and their tests below a directory, and loading rules from them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules import dialects
from fedbadges.rules.badge_rules import find_cycles
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.parsing import Problems
from fedbadges.rules.rule import Rule
from fedbadges.rules.series import parse_rules
from fedbadges.rules.yaml_document import MAX_BYTES, parse_document
from fedbadges.util.files import file_identity, read_limited

#: How the names of rule files end.
RULE_FILES = (".yml", ".yaml")

#: A rule's file name with this appended is the file of the rule's tests. No rule file ends like
#: this, so that tests can be beside the rules that a daemon runs.
TEST = ".test"
TEST_FILES = tuple(ending + TEST for ending in RULE_FILES)


#: What may be the same time to a file system, in nanoseconds: as much as FAT's two seconds.
_TICK = 2_000_000_000


@dataclass(frozen=True)
class Loaded:
    """The good rules of a directory, and every mistake in the others."""

    rules: RuleSet
    problems: tuple[Problem, ...]


def load_text(
    data: bytes,
    path: str,
    backends: Backends,
    *,
    configured: bool = True,
    lambdas: bool = True,
    dialect: str = dialects.OWN,
) -> tuple[Rule, ...]:
    """Parse the content of the rule file at ``path``; raise RuleError if it has mistakes.

    Without ``lambdas``, whatever is in Python is a mistake. ``dialect`` is that of a file in which
    nothing tells. Returns its rule, or those of a series.
    """
    document = parse_document(data, path)
    problems = Problems(configured=configured, lambdas=lambdas)
    return parse_rules(document, backends, problems, dialect)


def load_file(
    path: Path,
    backends: Backends,
    *,
    configured: bool = True,
    lambdas: bool = True,
    dialect: str = dialects.OWN,
) -> tuple[Rule, ...]:
    """Read and parse one rule file; raise RuleError if it has mistakes or cannot be read.

    Without ``lambdas``, whatever is in Python is a mistake. ``dialect`` is that of a file in which
    nothing tells. Returns its rule, or those of a series.
    """
    if path.name.endswith(TEST_FILES):
        text = f"this is a file of tests; run 'fedbadges test {path}'"
        raise RuleError([Problem(Place(str(path), 1, 1), text)])
    data = read_file(path)
    return load_text(
        data, str(path), backends, configured=configured, lambdas=lambdas, dialect=dialect
    )


class RuleFiles:
    """Reads the rule files of one pass, but for those that are as they were ``before``."""

    def __init__(
        self,
        before: "RuleFiles | None" = None,
        *,
        lambdas: bool = True,
        dialect: str = dialects.OWN,
    ) -> None:
        self._lambdas = lambdas
        self._dialect = dialect
        self._before = {} if before is None else before._read
        self._read: dict[Path, tuple[object, tuple[Rule, ...] | RuleError]] = {}

    def load(self, path: Path, backends: Backends) -> tuple[Rule, ...]:
        """Do what ``load_file`` does."""
        identity, now = file_identity(path), time.time_ns()
        known, found = self._before.get(path, (None, None))
        if found is None or identity is None or known != identity:
            found = self._parse(path, backends)
        # Whatever changes within the same tick of the clock looks the same.
        if identity is not None and max(identity[-2:]) < now - _TICK:
            self._read[path] = identity, found
        if isinstance(found, RuleError):
            raise found
        return found

    def _parse(self, path: Path, backends: Backends) -> tuple[Rule, ...] | RuleError:
        data = read_file(path)
        try:
            return load_text(
                data, str(path), backends, lambdas=self._lambdas, dialect=self._dialect
            )
        except RuleError as error:
            return error


def read_file(path: Path) -> bytes:
    """Read a file, up to one byte more than it may have; raise RuleError if that fails."""
    try:
        return read_limited(path, MAX_BYTES)
    except OSError as error:
        raise RuleError([unreadable(path, error)]) from None


def files_at(
    paths: Iterable[Path], endings: tuple[str, ...] = RULE_FILES
) -> tuple[list[Path], list[Problem]]:
    """List the files at and below these paths, each once, and what is unreadable."""
    found: dict[str, Path] = {}
    failures: list[OSError] = []
    for path in paths:
        for file in _files_below(path, failures, endings) if path.is_dir() else [path]:
            # Unlike Path.resolve, this accepts a link to itself.
            found.setdefault(os.path.realpath(file), file)
    return list(found.values()), [unreadable(each.filename, each) for each in failures]


def load_directory(
    directory: Path,
    backends: Backends,
    last_good: Mapping[str, Sequence[Rule]] | None = None,
    vet: Callable[[Path], None] = lambda path: None,
    load: Callable[[Path, Backends], Sequence[Rule]] = load_file,
) -> Loaded:
    """Load every rule file anywhere below ``directory``, in the order of their paths.

    The rules that a file had in ``last_good`` stay in force if it has mistakes now, or if a
    directory above it cannot be read or is no longer behind its link. ``vet`` raises RuleError for
    a file that must not be read; ``load`` reads the others.
    """
    known = last_good or {}
    found: list[Rule] = []
    problems: list[Problem] = []
    failures: list[OSError] = []
    for path in _files_below(directory, failures):
        try:
            vet(path)
            found.extend(load(path, backends))
        except RuleError as error:
            problems.extend(error.problems)
            found.extend(known.get(str(path), ()))
    for failure in failures:
        problems.append(unreadable(failure.filename, failure))
        folder = Path(failure.filename)
        below = (their for path, their in known.items() if folder in Path(path).parents)
        found.extend(rule for their in below for rule in their)
    rules, duplicates = each_once(found, known)
    rules, cycles = without_cycles(rules, known)
    return Loaded(RuleSet(rules), (*dict.fromkeys(problems), *duplicates, *cycles))


def each_once(
    found: list[Rule], known: Mapping[str, Sequence[Rule]] | None = None
) -> tuple[list[Rule], list[Problem]]:
    """Return one rule for each badge, best one of ``known``, and a mistake for each other rule."""
    in_force = {
        (rule.badge.id, path) for path, rules_there in (known or {}).items() for rule in rules_there
    }
    chosen: dict[str, Rule] = {}
    for rule in sorted(found, key=lambda rule: (rule.badge.id, rule.place.path) not in in_force):
        chosen.setdefault(rule.badge.id, rule)
    rules, duplicates = [], []
    for rule in found:
        first = chosen[rule.badge.id]
        if first is rule:
            rules.append(rule)
        else:
            text = f"the badge '{rule.badge.id}' has a rule already, at {first.place}"
            duplicates.append(Problem(rule.place, text))
    return rules, duplicates


def without_cycles(
    rules: list[Rule], known: Mapping[str, Sequence[Rule]] | None = None
) -> tuple[list[Rule], list[Problem]]:
    """Return the rules but for those whose badges need each other, and a mistake for each of these.

    Those that are among the ``known`` ones stay as they are there, if that ends the cycle.
    """
    cyclic, problems = find_cycles(rules)
    if not cyclic:
        return rules, []
    good = {(path, rule.badge.id): rule for path, each in (known or {}).items() for rule in each}
    before = [
        good.get((rule.place.path, rule.badge.id)) if rule.badge.id in cyclic else rule
        for rule in rules
    ]
    left = [rule for rule in before if rule is not None]
    cyclic, _ = find_cycles(left)
    return [rule for rule in left if rule.badge.id not in cyclic], problems


def unreadable(path: object, error: OSError) -> Problem:
    """Return the mistake that a file or directory cannot be read."""
    return Problem(Place(str(path), 1, 1), f"cannot be read: {error.strerror or error}")


def rule_paths(directory: Path, endings: tuple[str, ...] = RULE_FILES) -> Iterator[str]:
    """Find ``directory``, the directories below it, and the files in each that end like this.

    They are texts, as a daemon with thousands of rules looks at all of them all the time.
    """
    for folder, names in _walk(directory, []):
        yield str(folder)
        yield from (f"{folder}/{name}" for name in names if name.endswith(endings))


def _files_below(
    directory: Path, failures: list[OSError], endings: tuple[str, ...] = RULE_FILES
) -> Iterator[Path]:
    """Find the files whose names end like this, but for hidden ones.

    Every directory that cannot be read is added to ``failures``, and every other link that leads
    nowhere, since that may have been a link to a directory.
    """
    for folder, names in _walk(directory, failures):
        for path in (folder / name for name in names):
            if path.name.endswith(endings):
                yield path
            elif path.is_symlink():
                try:
                    path.stat()
                except OSError as error:
                    failures.append(error)


def _walk(directory: Path, failures: list[OSError]) -> Iterator[tuple[Path, list[str]]]:
    """Yield every directory, once even if links go in circles, with the names of its files."""
    visited: set[str] = set()
    for folder, folders, names in os.walk(directory, onerror=failures.append, followlinks=True):
        actual = os.path.realpath(folder)
        folders[:] = [] if actual in visited else _seen(folders)
        if actual not in visited:
            visited.add(actual)
            yield Path(folder), _seen(names)


def _seen(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))
