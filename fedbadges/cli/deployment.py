"""The deployment that a command is about: its options, and its settings, rules and bus."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.errors import CannotRun, reporting_errors
from fedbadges.cli.terminal import Command

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.outbox.outbox import Outbox
    from fedbadges.outbox.publisher import Publisher
    from fedbadges.rules.criteria import Backends
    from fedbadges.rules.index import RuleSet
    from fedbadges.rules.loader import Loaded
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.database import Tahrir

#: The configuration keys that options override; the third with the URL of its database alone.
RULES, HISTORY, TAHRIR = "badges.yaml.directory", "datanommer.sqlalchemy.url", "badges_global"
_OVERRIDES = {RULES: "rules", HISTORY: "history_url", TAHRIR: "tahrir_url"}

#: Values for settings that are required, but not used unless something is awarded.
_PLACEHOLDERS: Mapping[str, Any] = {
    RULES: ".",
    TAHRIR: {
        "database_uri": "sqlite://",
        "badge_issuer": {f"issuer_{key}": "nobody" for key in ("origin", "name", "org", "contact")},
    },
    HISTORY: "sqlite://",
    "topic_prefix_re": r"org\.fedoraproject\.[^\W\d_]+",
}

#: Examples of the keys that a configuration must have beside 'endpoints'.
_EXAMPLES: Mapping[str, Any] = {
    RULES: "/usr/share/badges/rules",
    HISTORY: "postgresql://localhost/datanommer",
    TAHRIR: {
        "database_uri": "postgresql://localhost/tahrir",
        "badge_issuer": {
            "issuer_origin": "https://badges.example.org",
            "issuer_name": "Example",
            "issuer_org": "https://example.org",
            "issuer_contact": "badges@example.org",
        },
    },
}

_READ_FROM = (
    "It is read from /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d; --config FILE reads one file only, "
    "and that of fedora-messaging if it ends with .toml"
)

#: Seconds to wait for an address to publish from.
_PUBLISHER_TIMEOUT = 10.0

_NO_ZMQ = "'zmq_enabled' is False: only a hub can publish on such a bus"
_NO_ADDRESS = "Every publisher needs an address of its own under 'fedbadges.<host>' in 'endpoints'"
_NO_BROKER = "The broker of 'amqp_url' does not answer, or refuses the connection"
_NO_CHANGE = "Nothing was changed; with --no-publish nothing is published"


def config_option(
    text: str = "Read this configuration of fedmsg rather than /etc/fedmsg.d, ~/.fedmsg.d and "
    "so on; or of fedora-messaging, a .toml file.",
) -> Callable[[Command], Command]:
    """Add ``--config`` to a command, with this ``text`` as its help."""
    return click.option(
        "--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help=text
    )


def database_option(name: str, text: str) -> Callable[[Command], Command]:
    """Add an option for the URL of a database to a command, with this ``text`` as its help."""
    return click.option(name, metavar="URL", callback=_check_url, help=text)


def _check_url(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Return the URL; raise CannotRun if it is none.

    Nor may its file be missing, since SQLite would create an empty one.
    """
    from fedbadges.databases.connections import parse_url

    if text is None:
        return None
    try:
        url = parse_url(text)
    except ValueError as error:
        raise CannotRun(f"{option.opts[0]}: {error}") from None
    if url.get_backend_name() == "sqlite" and url.database and ":" not in url.database:
        file = Path(url.database)
        if file.parent.is_dir() and not file.exists():
            raise CannotRun(f"{option.opts[0]}: there is no file {url.database!r}")
    return text


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


def with_deployment(*unneeded: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that describe a deployment to a command, which gets a ``deployment``.

    The configuration may lack the keys that are ``unneeded``. Errors of databases and services end
    the command with one line.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(config: str | None, **options: Any) -> None:
            changes = {key: options.pop(name) for key, name in _OVERRIDES.items()}
            with reporting_errors():
                command(deployment=Deployment(config, changes, unneeded), **options)

        return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), call)

    return decorate


@dataclass(frozen=True)
class Deployment:
    """What the daemon's configuration, or only the file ``config``, describes.

    ``changes`` that are not None override it; required settings that are ``unneeded`` may be
    missing.
    """

    config: str | None
    changes: Mapping[str, str | None]
    unneeded: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Settings:
        """Return the settings; raise CannotRun with everything that is wrong with them."""
        required = {key: _PLACEHOLDERS[key] for key in self.unneeded}
        given = {key for key, value in self.changes.items() if value is not None and key != TAHRIR}
        examples = {
            key: example
            for key, example in _EXAMPLES.items()
            if key not in given and key not in self.unneeded
        }
        return _read(required | read_configuration(self.config, examples), self.changes)

    def rules(self, backends: Backends) -> RuleSet:
        """Load the rules as the daemon does, and print the mistakes of others to standard error."""
        loaded = self._load(backends)
        for problem in loaded.problems:
            click.echo(problem, err=True)
        return loaded.rules

    def untriggered(self, backends: Backends) -> tuple[Rule, ...]:
        """Return the rules that are judged when somebody is awarded a badge; print nothing."""
        return self._load(backends).rules.untriggered

    def _load(self, backends: Backends) -> Loaded:
        from fedbadges.rules.file_permissions import PermissionChecker
        from fedbadges.rules.loader import load_directory

        directory = self.settings.rules_directory
        check = PermissionChecker(directory).check
        vet = (lambda path: None) if self.settings.insecure_rules else check
        return load_directory(directory, backends, vet=vet, load=self._load_file)

    def _load_file(self, path: Path, backends: Backends) -> tuple[Rule, ...]:
        from fedbadges.rules.loader import load_file

        settings = self.settings
        return load_file(path, backends, lambdas=settings.lambdas, dialect=settings.dialect)

    def chosen(self, names: Sequence[str], backends: Backends) -> tuple[Rule, ...]:
        """Return rules by file or badge id; raise CannotRun with all mistakes and unknown ids."""
        from fedbadges.errors import RuleError
        from fedbadges.rules.loader import each_once, without_cycles

        found: list[Rule] = []
        wrong: list[str] = []
        known: Mapping[str, Rule] = {}
        if not all(Path(name).is_file() for name in names):
            known = {rule.badge.id: rule for rule in self.rules(backends)}
        for name in names:
            try:
                if Path(name).is_file():
                    found.extend(self._load_file(Path(name), backends))
                elif name in known:
                    found.append(known[name])
                else:
                    wrong.append(
                        f"{name!r} is neither a rule file nor the id of a badge with a rule"
                    )
            except RuleError as error:
                wrong += map(str, error.problems)
        chosen, duplicates = each_once(found)
        _, cycles = without_cycles(chosen)
        wrong += map(str, (*duplicates, *cycles))
        if wrong:
            raise CannotRun(*wrong)
        return tuple(chosen)

    @contextmanager
    def publishing(
        self, tahrir: Tahrir, *, silent: bool, optional: bool = False
    ) -> Iterator[Outbox | None]:
        """Yield what publishes notices, or None if ``silent``; raise CannotRun if nothing can.

        If that is ``optional``, or only a daemon can and there is an outbox, a line says so and
        None is yielded.
        """
        from fedbadges.outbox.outbox import Outbox

        if silent:
            yield None
            return
        publisher, reason = make_publisher(self.settings)
        if publisher is None:
            _warn_or_raise(reason, tahrir, optional or tahrir.outbox.is_usable)
            with _leaving(tahrir):
                yield None
            return
        outbox = Outbox(publisher, tahrir.outbox)
        outbox.start()
        try:
            if publisher.trouble(_PUBLISHER_TIMEOUT) is not None:  # the publisher has logged it
                _warn_or_raise(reason, tahrir, optional)
                with _leaving(tahrir):
                    yield None
            else:
                yield outbox
        finally:
            outbox.stop()


def make_publisher(settings: Settings) -> tuple[Publisher | None, str]:
    """Return what publishes on the configured bus, if a command can, and the reason if it cannot.

    Raises CannotRun.
    """
    from fedbadges.config.toml_files import is_toml

    filename = settings.fedmsg.get("config_filename")
    if is_toml(filename):
        from fedbadges.buses.fedora_messaging.publisher import command_publisher
        from fedbadges.errors import SettingsError

        try:
            return command_publisher(Path(str(filename))), _NO_BROKER
        except SettingsError as error:
            raise CannotRun(*error.lines) from error
    if not settings.fedmsg.get("zmq_enabled", True):
        return None, _NO_ZMQ
    from fedbadges.buses.fedmsg.publisher import Publisher as FedmsgPublisher

    return FedmsgPublisher(settings.fedmsg), _NO_ADDRESS


@contextmanager
def _leaving(tahrir: Tahrir) -> Iterator[None]:
    """Leave the notices of what is changed meanwhile to a daemon, which need not wait for them."""
    from fedbadges.errors import Unavailable

    try:
        yield
    finally:
        with suppress(Unavailable):  # the leases end by themselves
            tahrir.outbox.leave()


def _warn_or_raise(reason: str, tahrir: Tahrir, optional: bool) -> None:
    """Print why nothing can be published, if that is optional; raise CannotRun otherwise."""
    if not optional:
        raise CannotRun(reason, _NO_CHANGE)
    what = "Left to the daemon to publish" if tahrir.outbox.is_usable else "Not published"
    click.echo(f"{what}. {reason}", err=True)


def placeholder_settings(changes: Mapping[str, Any]) -> Settings:
    """Return settings of no deployment, to parse rules; raise CannotRun for invalid changes."""
    return _read(dict(_PLACEHOLDERS), changes)


def _read(config: dict[str, Any], changes: Mapping[str, Any]) -> Settings:
    from fedbadges.config.settings import read_settings
    from fedbadges.errors import SettingsError

    changed = {key: value for key, value in changes.items() if value is not None}
    if TAHRIR in changed:
        known = config.get(TAHRIR)
        changed[TAHRIR] = {
            **(known if isinstance(known, dict) else {}),
            "database_uri": changed[TAHRIR],
        }
    try:
        settings, _ = read_settings(config | changed)
    except SettingsError as error:
        raise CannotRun(*error.lines) from error
    return settings


def read_configuration(filename: str | None, examples: Mapping[str, Any]) -> dict[str, Any]:
    """Read the configuration, or only the file with this name; raise CannotRun.

    It is fedmsg's, or fedora-messaging's where fedmsg has none. ``examples`` are what the command
    needs, to be shown where there is no configuration at all.
    """
    config = _toml_configuration(filename)
    if config is not None:
        return config
    config = _fedmsg_configuration(filename, examples)
    return config | ({"config_filename": filename} if filename else {})


def _toml_configuration(filename: str | None) -> dict[str, Any] | None:
    """Read fedora-messaging's configuration, if this is its file, or fedmsg has none."""
    from fedbadges.config.line_numbers import config_files
    from fedbadges.config.settings import toml_configuration
    from fedbadges.config.toml_files import default_toml_file, is_toml, read_toml
    from fedbadges.errors import SettingsError

    path = default_toml_file() if filename is None else Path(filename)
    if not is_toml(filename) and (filename or config_files({}) or not path.is_file()):
        return None
    try:
        table = read_toml(path)
    except SettingsError as error:
        raise CannotRun(*error.lines) from error
    # Without a table for consumers, the file is there for other programs.
    return toml_configuration(table, path) if table or filename else None


def _fedmsg_configuration(filename: str | None, examples: Mapping[str, Any]) -> dict[str, Any]:
    import fedmsg.config

    from fedbadges.config.line_numbers import config_files

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fedmsg calls its own function deprecated
            config: dict[str, Any] = fedmsg.config.load_config(
                filenames=[filename] if filename else None, invalidate_cache=True
            )
    except Exception as error:  # the files are programs
        place = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
        text = f"{place}{type(error).__name__}: {getattr(error, 'msg', None) or error}"
        hints = [_READ_FROM] if filename is None else []
        if filename is None and not config_files({}):
            smallest = {"endpoints": {}, **examples}
            hints.append("There is none; the smallest is a file fedmsg.d/badges.py with this line:")
            hints.append(f"config = {smallest}")
        raise CannotRun(f"fedmsg cannot use its configuration: {text}", *hints) from error
    return config
