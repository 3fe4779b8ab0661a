"""Comments ``# fedbadges: ignore[code]`` in a rule, by which its author accepts a finding."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fedbadges.errors import Place
from fedbadges.lint.findings import CODES, ERRORS, Finding
from fedbadges.rules.yaml_comments import Comment, find_comments
from fedbadges.util.text import quoted, suggestion

_CODE = "unused-ignore"
#: Beside words for people, a comment may have words for other tools, in front or behind.
_OURS = re.compile(r"#\s*fedbadges:\s*(?P<what>.*)")
_IGNORE = re.compile(r"ignore\[(?P<codes>[^\]]*)\]")

#: What is found or not with other options, other files or other software beside the rule.
_ELSEWHERE = frozenset(
    [
        "no-plugin",
        "nothing-stored",
        "counted-together",
        "same-again",
        "stale-topic",
        "missing-path",
    ]
)

#: The codes that a rule can ignore.
_IGNORED = tuple(code for code in CODES if code not in ERRORS and code != _CODE)


@dataclass(frozen=True)
class _Ignore:
    """A code to ignore; ``line`` is None for the whole file."""

    place: Place
    code: str
    line: int | None

    def covers(self, finding: Finding) -> bool:
        place = finding.place
        at_place = place.path == self.place.path and self.line in (None, place.line)
        return at_place and finding.code == self.code


class Ignores:
    """What the rules of one run ignore.

    A finding that keeps a rule from being loaded is not ignored.
    """

    def __init__(self) -> None:
        self._ignores: dict[str, list[_Ignore]] = {}
        self._used: set[_Ignore] = set()
        self._found: dict[tuple[str, str], int] = {}
        self._mistakes: list[Finding] = []

    def read(self, data: bytes, path: str) -> None:
        """Read the comments of a rule file without mistakes."""
        for comment in find_comments(data, path):
            self._ignores.setdefault(path, []).extend(self._parse(comment, path))

    def apply(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings that no comment ignores."""
        for finding in findings:
            path = finding.place.path
            covering = [each for each in self._ignores.get(path, ()) if each.covers(finding)]
            self._used.update(covering)
            if not covering:
                self._found.setdefault((path, finding.code), finding.place.line)
                yield finding

    def unused_ignore(self) -> Iterator[Finding]:
        """Find comments that are mistaken, or that ignored nothing of all that was found."""
        yield from self._mistakes
        for ignores in self._ignores.values():
            for each in ignores:
                if each not in self._used and each.code not in _ELSEWHERE:
                    yield Finding(each.place, _CODE, self._explain(each))

    def _parse(self, comment: Comment, path: str) -> Iterator[_Ignore]:
        ours = _OURS.search(comment.text)
        if ours is None:
            return
        place = Place(path, comment.line, comment.column + ours.start())
        found = _IGNORE.match(ours["what"])
        codes = [code.strip() for code in found["codes"].split(",")] if found else []
        if not any(codes):
            text = f"{quoted(ours.group())} is not understood; write '# fedbadges: ignore[code]'"
            self._mistakes.append(Finding(place, _CODE, text))
        for code in dict.fromkeys(filter(None, codes)):
            mistake = _mistake(code)
            if mistake:
                self._mistakes.append(Finding(place, _CODE, mistake))
            else:
                yield _Ignore(place, code, comment.about)

    def _explain(self, ignore: _Ignore) -> str:
        if ignore.line is None:
            return f"'{ignore.code}' is not found in this file; remove it from the comment"
        line = self._found.get((ignore.place.path, ignore.code))
        where = f", but in line {line}" if line else "; remove it from the comment"
        return f"'{ignore.code}' is not found in line {ignore.line}{where}"


def _mistake(code: str) -> str:
    """Return what is wrong with a code to ignore, if anything."""
    if code in _IGNORED:
        return ""
    if code in CODES:
        return f"'{code}' cannot be ignored: {CODES[code]}"
    return f"there is no finding {quoted(code)}{suggestion(code, _IGNORED)}"
