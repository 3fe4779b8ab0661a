"""The deployment that a command is about: its settings, its rules and what it asks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.errors import CannotRun

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.rules.criteria import Backends
    from fedbadges.rules.index import RuleSet
    from fedbadges.rules.rule import Rule

#: Configuration keys, by what options override them.
RULES, HISTORY, TAHRIR = "badges.yaml.directory", "datanommer.sqlalchemy.url", "badges_global"

_OPTIONS = (
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False),
        metavar="FILE",
        help="Read this configuration of fedmsg rather than /etc/fedmsg.d, ~/.fedmsg.d and so on.",
    ),
    click.option(
        "--rules",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIRECTORY",
        help="The directory of rules, instead of the configured one.",
    ),
    click.option("--history-url", metavar="URL", help="The datanommer to ask."),
    click.option("--tahrir-url", metavar="URL", help="The database of tahrir."),
)


def with_deployment(
    *unneeded: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that say which deployment it is about.

    It is called with ``deployment``, a Deployment. The configuration need not have the keys that
    are ``unneeded``.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(
            config: str | None,
            rules: str | None,
            history_url: str | None,
            tahrir_url: str | None,
            **others: Any,
        ) -> None:
            deployment = Deployment(config, rules, history_url, tahrir_url, unneeded)
            command(deployment=deployment, **others)

        return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), call)

    return decorate


@dataclass(frozen=True)
class Deployment:
    """What the options say; the rest is the configuration's."""

    config: str | None
    rules_directory: str | None
    history_url: str | None
    tahrir_url: str | None
    unneeded: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Settings:
        """Read and check the configuration; raises CannotRun, with everything that is wrong."""
        from fedbadges.cli.configuration import checked_url, configured_settings

        history, tahrir = self.history_url, self.tahrir_url
        if history is not None:
            checked_url("--history-url", history)
        if tahrir is not None:
            checked_url("--tahrir-url", tahrir)
        changes = {RULES: self.rules_directory, HISTORY: history}
        return configured_settings(
            self.config,
            {key: value for key, value in changes.items() if value is not None},
            tahrir_url=tahrir,
            unneeded=self.unneeded,
        )

    @cached_property
    def backends(self) -> Backends:
        """Make the criteria backends that are installed."""
        from fedbadges.criteria.backends import load_backends

        return load_backends(self.settings)

    def rules(self, backends: Backends | None = None) -> RuleSet:
        """Load the rules as the daemon does; what is wrong with others goes to standard error."""
        from fedbadges.rules.file_permissions import PermissionChecker
        from fedbadges.rules.loader import load_directory

        directory = self.settings.rules_directory
        permissions = PermissionChecker(directory)
        vet = permissions.record if self.settings.insecure_rules else permissions.check
        loaded = load_directory(directory, backends or self.backends, vet=vet)
        for problem in loaded.problems:
            click.echo(f"{problem}", err=True)
        return loaded.rules

    def chosen(self, names: Iterable[str], backends: Backends | None = None) -> tuple[Rule, ...]:
        """Give the rules that somebody names: by a file, or by the id of a badge.

        Raises CannotRun, with every mistake in every file, and every id that there is not.
        """
        from fedbadges.errors import RuleError
        from fedbadges.rules.loader import each_once, load_file

        found: list[Rule] = []
        wrong: list[str] = []
        known: Mapping[str, Rule] | None = None
        for name in names:
            if Path(name).is_file():
                try:
                    found.append(load_file(Path(name), backends or self.backends))
                except RuleError as error:
                    wrong += [str(problem) for problem in error.problems]
                continue
            if known is None:
                known = {rule.badge.id: rule for rule in self.rules(backends)}
            if name in known:
                found.append(known[name])
            else:
                wrong.append(f"{name!r} is neither a rule file nor the id of a badge with a rule")
        chosen, duplicates = each_once(found)
        wrong += [str(problem) for problem in duplicates]
        if wrong:
            raise CannotRun(wrong)
        return tuple(chosen)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn what databases and other services say into one line for whoever called the command.

    The same is done with Ctrl-C, unless somebody has something to show before.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable
    from fedbadges.util.text import describe_error

    try:
        yield
    except KeyboardInterrupt:
        raise CannotRun(["Stopped"]) from None
    except Unavailable as unavailable:
        raise CannotRun([str(unavailable)]) from unavailable
    except SQLAlchemyError as error:
        raise CannotRun([f"the database says: {describe_error(error)}"]) from error
