"""Every exception that crosses a package, and the place in a file that a mistake has."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedbadges.util.text import printable

# Mistakes of whoever writes rules or the configuration.


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{printable(self.path)}:{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, and what would be right.

    If it is a ``misspelled`` key, that has the key, and the only one that can be meant.
    """

    place: Place
    text: str
    misspelled: tuple[str, str] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.place}: {printable(self.text)}"


class RuleError(Exception):
    """A rule file has mistakes; ``problems`` lists them in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(Exception):
    """The configuration cannot be used; ``lines`` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(map(printable, lines))
        super().__init__("\n".join(self.lines))


# Outages, and the start and stop of the daemon.


class Unavailable(Exception):
    """A backend cannot answer now; ask again later."""


class DatabaseUnusable(Unavailable):
    """A database answers, but lacks the schema or the rights that every query needs."""


class CannotStart(Exception):
    """The daemon cannot start, and waiting does not help; the text is one line."""


class Stopped(Exception):
    """The daemon stopped before there was an answer."""


# What becomes of a message.


class NotHandled(Exception):
    """A message is not handled; the bus must deliver it again, if it can."""


class NotStored(Exception):
    """The daemon stopped before it could store a message, and nobody else stores messages."""


class DamagedRow(Exception):
    """A row of datanommer's is no message that can be read; the text says why."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text)[:200])


class MissingValue(LookupError):
    """The message lacks the value that a template names, or the value cannot be used.

    ``path`` is the dotted path at which the message has nothing, if that is so.
    """

    def __init__(self, text: str, path: str | None = None) -> None:
        super().__init__(printable(text))  # the name may be any text
        self.path = path


class Rejected(RuntimeWarning):
    """A message's signature is not valid. fedmsg's hub expects a RuntimeWarning for that.

    ``reason`` has no text of the message. ``signer`` is the name in the certificate, where the CA
    issued the certificate and the signature matches.
    """

    def __init__(self, reason: str, signer: str | None = None) -> None:
        self.reason = reason
        self.signer = signer
        super().__init__(reason if signer is None else f"{reason} (signed by {signer!r})")


class SignatureMismatch(Rejected):
    """The content of a message is not what was signed."""
