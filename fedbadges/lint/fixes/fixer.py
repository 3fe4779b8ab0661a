"""``fedbadges check --fix``: a rule file with what can be rewritten, and nothing else changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.lint.fixes.layout import Edit, Layout, apply
from fedbadges.lint.fixes.meaning import Samples, mean_same
from fedbadges.lint.fixes.rewrites import Rewrite, Rewriter
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import quote_lambdas

#: A file has no more misspelled keys than are worth mending.
_MOST_KEYS = 50

_BOM = "\ufeff"


@dataclass(frozen=True)
class Fixed:
    """A rule file after its fixes: its new content, what was changed, and the lambdas that stay."""

    path: str
    before: bytes
    after: bytes
    changes: tuple[Problem, ...] = ()
    left: tuple[Place, ...] = ()

    @property
    def diff(self) -> str:
        """Return the difference, as ``diff -u`` shows it."""
        old, new = (each.decode().splitlines(keepends=True) for each in (self.before, self.after))
        return "".join(difflib.unified_diff(old, new, self.path, self.path))


class Fixer:
    """Rewrites what it can in rule files; the rules mean the same afterwards."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    def fix(self, data: bytes, path: str) -> Fixed:
        """Return a rule file with its fixes; one that is no text, or has aliases, as it was."""
        unchanged = Fixed(path, data, data)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return unchanged
        bom = _BOM if text.startswith(_BOM) else ""
        newline = "\r\n" if "\r" in text else "\n"
        if text.replace("\r\n", "\n").replace("\n", newline) != text:
            return unchanged  # its lines end in several ways
        try:
            text, renamed = self._mend_keys(text.removeprefix(_BOM).replace("\r\n", "\n"), path)
            rules = self._load(text, path)
            text, changes, left = self._rewrite(text, path, rules)
        except (RuleError, ValueError):
            return unchanged
        changed = (*renamed, *changes)
        after = (bom + text.replace("\n", newline)).encode() if changed else data
        return Fixed(path, data, after, tuple(sorted(changed)), tuple(sorted(left)))

    def _load(self, text: str, path: str) -> tuple[Rule, ...]:
        return load_text(text.encode(), path, self._backends, configured=False)

    def _mend_keys(self, text: str, path: str) -> tuple[str, list[Problem]]:
        """Return a text with the keys that are misspelled, if only these are wrong."""
        changes: list[Problem] = []
        for _ in range(_MOST_KEYS):
            try:
                self._load(text, path)
            except RuleError as error:
                wrong = [each for each in error.problems if each.misspelled is not None]
                if not wrong:
                    raise
                problem = wrong[0]
            else:
                break
            assert problem.misspelled is not None
            used, meant = problem.misspelled
            start = _offset(text, problem.place)
            if not text.startswith(used, start):
                raise ValueError(used)
            text = apply(text, [Edit(start, start + len(used), meant)])
            changes.append(Problem(problem.place, f"the key '{used}' is '{meant}'"))
        return text, changes

    def _rewrite(
        self, text: str, path: str, rules: Sequence[Rule]
    ) -> tuple[str, list[Problem], list[Place]]:
        """Return a text with fewer lambdas, what was changed, and the lambdas that stay."""
        base = _readable(text)
        rewriter = Rewriter(Layout(base), path, rules[0])
        found = list(rewriter.rewrites())
        left = list(rewriter.left)
        if self._is_same(base, found, path, rules, rewriter.known):
            chosen = found
        else:
            chosen = []
            for each in found:
                if self._is_same(base, [*chosen, each], path, rules, rewriter.known):
                    chosen.append(each)
                    continue
                left.append(each.place)
                if each.otherwise is not None:
                    chosen.append(each.otherwise)
        if not chosen:
            return text, [], left
        changes = [Problem(each.place, each.text) for each in chosen]
        return _applied(base, chosen), changes, left

    def _is_same(
        self,
        text: str,
        rewrites: Sequence[Rewrite],
        path: str,
        rules: Sequence[Rule],
        known: frozenset[str],
    ) -> bool:
        """Return True if the rules mean the same after these rewrites."""
        try:
            new = self._load(_applied(text, rewrites), path)
        except RuleError:
            return False
        readers = [reader for each in rewrites for reader in each.readers]
        samples = Samples(readers, known)
        return len(new) == len(rules) and all(
            mean_same(one, other, samples) for one, other in zip(rules, new, strict=True)
        )


def _applied(text: str, rewrites: Iterable[Rewrite]) -> str:
    return apply(text, [edit for each in rewrites for edit in each.edits])


def _readable(text: str) -> str:
    """Return a text that YAML can read: a lambda may lack the quotes that it needs."""
    try:
        Layout(text)
    except ValueError:
        return quote_lambdas(text)[0]
    return text


def _offset(text: str, place: Place) -> int:
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: place.line - 1])) + place.column - 1
