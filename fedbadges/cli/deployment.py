"""The deployment that a command is about: its settings, backends and rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.errors import CannotRun
from fedbadges.cli.options import config_option, database_option

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.rules.criteria import Backends
    from fedbadges.rules.index import RuleSet
    from fedbadges.rules.rule import Rule

#: The configuration keys that options override.
RULES, HISTORY, TAHRIR = "badges.yaml.directory", "datanommer.sqlalchemy.url", "badges_global"

_OPTIONS = (
    config_option(),
    click.option(
        "--rules",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIRECTORY",
        help="The directory of rules, instead of the configured one.",
    ),
    database_option("--history-url", "The datanommer to ask."),
    database_option("--tahrir-url", "The database of tahrir."),
)


def with_deployment(
    *unneeded: str,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that describe a deployment to a command, which gets a ``deployment``.

    The configuration may lack the keys that are ``unneeded``.
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
    """The deployment that the options describe; the configuration has the rest."""

    config: str | None
    rules_directory: str | None
    history_url: str | None
    tahrir_url: str | None
    unneeded: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Settings:
        """Return the settings; raise CannotRun with everything that is wrong with them."""
        from fedbadges.cli.configuration import configured_settings

        return configured_settings(
            self.config,
            {RULES: self.rules_directory, HISTORY: self.history_url},
            tahrir_url=self.tahrir_url,
            unneeded=self.unneeded,
        )

    def rules(self, backends: Backends) -> RuleSet:
        """Load the rules as the daemon does, and print the mistakes of others to standard error."""
        from fedbadges.rules.file_permissions import PermissionChecker
        from fedbadges.rules.loader import load_directory

        directory = self.settings.rules_directory
        permissions = PermissionChecker(directory)
        vet = permissions.record if self.settings.insecure_rules else permissions.check
        loaded = load_directory(directory, backends, vet=vet)
        for problem in loaded.problems:
            click.echo(f"{problem}", err=True)
        return loaded.rules

    def chosen(self, names: Iterable[str], backends: Backends) -> tuple[Rule, ...]:
        """Return rules by file or badge id; raise CannotRun with all mistakes and unknown ids."""
        from fedbadges.errors import RuleError
        from fedbadges.rules.loader import each_once, load_file

        found: list[Rule] = []
        wrong: list[str] = []
        known: Mapping[str, Rule] | None = None
        for name in names:
            if Path(name).is_file():
                try:
                    found.append(load_file(Path(name), backends))
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
            raise CannotRun(*wrong)
        return tuple(chosen)
