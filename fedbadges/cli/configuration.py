"""The settings of a command: from fedmsg's configuration, or for rules alone."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import fedmsg.config

from fedbadges.cli.errors import CannotRun
from fedbadges.config.settings import Settings, read_settings
from fedbadges.errors import SettingsError

_GLOBAL = "badges_global"
_ISSUER = ("issuer_origin", "issuer_name", "issuer_org", "issuer_contact")

_READ_FROM = (
    "It is read from /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d; --config FILE reads one file only"
)

#: Values for settings that are required, but not used unless something is awarded.
_PLACEHOLDERS: Mapping[str, Any] = {
    "badges.yaml.directory": ".",
    _GLOBAL: {
        "database_uri": "sqlite://",
        "badge_issuer": dict.fromkeys(_ISSUER, "nobody"),
    },
    "datanommer.sqlalchemy.url": "sqlite://",
    "topic_prefix_re": r"org\.fedoraproject\.[^\W\d_]+",
}


def fedmsg_configuration(filename: str | None) -> dict[str, Any]:
    """Read fedmsg's configuration, or only the file with this name; raise CannotRun."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fedmsg calls its own function deprecated
            config: dict[str, Any] = fedmsg.config.load_config(
                filenames=[filename] if filename else None, invalidate_cache=True
            )
    except Exception as error:  # the files are programs
        lines = [f"fedmsg cannot use its configuration: {_describe(error)}"]
        if filename is None:
            lines.append(_READ_FROM)
        raise CannotRun(*lines) from error
    return config


def configured_settings(
    filename: str | None,
    changes: Mapping[str, Any],
    *,
    tahrir_url: str | None = None,
    unneeded: Iterable[str] = (),
) -> Settings:
    """Read the configuration that the daemon reads, or only the file with this name.

    ``changes`` that are not None, and ``tahrir_url``, override it; required settings that are
    ``unneeded`` may be missing. Raises CannotRun with everything that is wrong.
    """
    config = {key: _PLACEHOLDERS[key] for key in unneeded} | fedmsg_configuration(filename)
    if filename:
        config["config_filename"] = filename
    config |= {key: value for key, value in changes.items() if value is not None}
    return _read(config, tahrir_url)


def placeholder_settings(changes: Mapping[str, Any], *, tahrir_url: str | None = None) -> Settings:
    """Return settings of no deployment, to parse rules; raise CannotRun for invalid changes."""
    return _read({**_PLACEHOLDERS, **changes}, tahrir_url)


def _read(config: dict[str, Any], tahrir_url: str | None) -> Settings:
    if tahrir_url is not None:
        known = config.get(_GLOBAL)
        config[_GLOBAL] = {**(known if isinstance(known, dict) else {}), "database_uri": tahrir_url}
    try:
        settings, _ = read_settings(config)
    except SettingsError as error:
        raise CannotRun(*error.lines) from error
    return settings


def _describe(error: Exception) -> str:
    place = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
    return f"{place}{type(error).__name__}: {getattr(error, 'msg', None) or error}"
