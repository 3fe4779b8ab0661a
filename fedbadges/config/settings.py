"""Every configuration key: read and checked once, into one immutable value.

The configuration is fedmsg's, Python files in /etc/fedmsg.d that are merged into one mapping, or a
table in fedora-messaging's TOML file. docs/configuration.rst explains the keys at length.
"""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.config import values
from fedbadges.config.reader import REQUIRED, ConfigKey, ConfigReader, config_key, keys_of
from fedbadges.config.toml_files import join_keys
from fedbadges.config.version_2 import TRANSLATION, known_names, translate
from fedbadges.errors import SettingsError

#: Enables the consumer in a hub.
ENABLED = "fedmsg.consumers.badges.enabled"

#: Where the daemon publishes its status, and the permissions of that; keys of moksha.
MONITORING_SOCKET = "moksha.monitoring.socket"
MONITORING_MODE = "moksha.monitoring.socket.mode"

# What a mistake says is expected, and the parser; for the issuer the other arguments as well.
_SECONDS = ("a number of seconds, from 0 to 86400", values.seconds)
_TIMEOUT = ("a number of seconds, more than 0 and up to 86400", values.timeout)
_MINUTE = ("a number of seconds, from 0 to 60", partial(values.interval, most=60.0))
_FLAG = ("True or False", values.flag)
_URL = ("a database URL, such as 'postgresql://user:password@host/name'", values.database_url)
_HOST = ("the name of a host, such as 'id.fedoraproject.org'", values.hostname)
_AGE = ("a number of seconds", values.age)
_COUNT = ("a number of messages", values.count)
_GLOBAL = ("badges_global",)
_ISSUER = ("badges_global", "badge_issuer")
_GROUP_BADGES = ("badges.group_badges",)
_ISSUER_TEXT = ("text of at most 128 characters", values.short_text, REQUIRED, _ISSUER)


@dataclass(frozen=True)
class Issuer:
    """The issuer of the badges, as tahrir stores it."""

    #: The address of the badges' web site.
    origin: str = config_key("issuer_origin", *_ISSUER_TEXT)
    #: The name of the issuer.
    name: str = config_key("issuer_name", *_ISSUER_TEXT)
    #: The address of the organisation.
    org: str = config_key("issuer_org", *_ISSUER_TEXT, "issuer_url")
    #: An e-mail address.
    contact: str = config_key("issuer_contact", *_ISSUER_TEXT, "issuer_email")


@dataclass(frozen=True)
class GroupBadge:
    """A badge for everybody in a group of FASJSON."""

    #: The name of the group.
    group: str = config_key("group", "the name of a group", values.group, REQUIRED, _GROUP_BADGES)
    #: The id of the badge.
    badge: str = config_key(
        "badge", "the id of a badge", values.short_text, REQUIRED, _GROUP_BADGES
    )
    #: Who gets it: all members, or the sponsors alone.
    memberships: str = config_key(
        "memberships", "'members' or 'sponsors'", values.memberships, "members", _GROUP_BADGES
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of the daemon. Its ``repr`` shows no password."""

    # The rules.
    #: Where the rules are, at any depth.
    rules_directory: Path = config_key(
        "badges.yaml.directory", "the directory that has the rule files", values.directory, REQUIRED
    )
    #: Reload rule files that change.
    reload: bool = config_key("badges.reload", *_FLAG, True)
    #: Load rules that others can write.
    insecure_rules: bool = config_key("badges.insecure_rules", *_FLAG, False)
    #: Load rules with Python in them.
    lambdas: bool = config_key("badges.lambdas", *_FLAG, True)
    #: The dialect of rules in which nothing tells.
    dialect: str = config_key(
        "badges.dialect", "'fedbadges-1' or 'fedbadges-2'", values.dialect, "fedbadges-1"
    )

    # The databases.
    #: Where badges and awards are.
    tahrir_url: URL = config_key("database_uri", *_URL, REQUIRED, _GLOBAL)
    #: Where the past messages are.
    history_url: URL = config_key("datanommer.sqlalchemy.url", *_URL, REQUIRED)
    #: Create missing tables at the start.
    create_tables: bool = config_key("badges.create_tables", *_FLAG, False)
    #: Use prepared statements, which a pooler between the daemon and PostgreSQL may not support.
    prepare_statements: bool = config_key("badges.prepare_statements", *_FLAG, True)

    # Awards.
    issuer: Issuer
    #: Awards link to their message in datagrepper.
    datagrepper_url: str = config_key(
        "fedbadges.datagrepper_url",
        "the address of datagrepper, such as 'https://apps.example.org/datagrepper'",
        values.web_address,
        "https://apps.fedoraproject.org/datagrepper",
    )
    #: tahrir knows people by an e-mail address in this domain.
    email_domain: str = config_key(
        "badges.email_domain",
        "a domain, such as 'fedoraproject.org'",
        values.domain,
        "fedoraproject.org",
    )
    #: Links to people are believed from this host.
    id_provider_hostname: str = config_key(
        "badges.id_provider_hostname", *_HOST, "id.fedoraproject.org"
    )
    #: Links to people are believed from this host, too.
    distgit_hostname: str = config_key("badges.distgit_hostname", *_HOST, "src.fedoraproject.org")
    #: Principals of this realm are believed.
    krb_realm: str = config_key(
        "badges.krb_realm",
        "a Kerberos realm, such as 'FEDORAPROJECT.ORG'",
        values.realm,
        "FEDORAPROJECT.ORG",
    )
    #: Programs, which never get a badge.
    banned_usernames: frozenset[str] = config_key(
        "badges.banned_usernames",
        "a list of names",
        values.names,
        ("bodhi", "oscar", "apache", "koji", "taskotron"),
    )
    #: The least time between two updates of the leaderboard.
    rank_interval: float = config_key("badges.rank_interval", *_SECONDS, 5.0)
    #: Tell tahrir how far people are with badges.
    progress: bool = config_key("badges.progress", *_FLAG, False)

    #: Tell tahrir which badges are a series.
    series: bool = config_key("badges.series", *_FLAG, False)

    # Messages.
    #: How long to wait until datanommer has stored a message.
    consume_delay: float = config_key("badges.consume_delay", *_SECONDS, 3.0)
    #: Do not wait for datanommer if more messages than this are queued.
    delay_limit: int = config_key(
        "badges.delay_limit", "a number of messages, 0 or more", values.count, 100
    )
    #: Store messages in datanommer's database.
    record_messages: bool = config_key("badges.record_messages", *_FLAG, False)
    #: Shed messages, to catch up later, if more than this are in memory.
    backlog_limit: int = config_key("badges.backlog_limit", *_COUNT, 10_000)
    #: Where notices go on a broker that speaks STOMP.
    stomp_destination: str = config_key(
        "badges.stomp_destination",
        "a destination with '{topic}' in it, such as '/topic/{topic}'",
        values.destination,
        "/topic/{topic}",
    )
    #: How many messages are handled at a time; a key of moksha.
    workers: int = config_key(
        "moksha.workers_per_consumer", "a number of threads, 1 or more", values.positive_count, 1
    )

    # Catching up.
    #: Where the checkpoint and the dead letters are; systemd sets the default.
    state_directory: Path | None = config_key(
        "badges.state_directory",
        "a directory, made where it is missing, or None",
        partial(values.directory, exists=False),
        os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or None,
    )
    #: Skip messages that are older than this.
    catchup_limit: float = config_key("badges.catchup_limit", *_AGE, 7 * 86_400.0)
    #: Look for messages that the bus did not deliver this often.
    sweep_interval: float = config_key("badges.sweep_interval", *_TIMEOUT, 30.0)
    #: Do not verify the signatures of stored messages.
    trust_history: bool = config_key("badges.trust_history", *_FLAG, False)

    #: Do not ask tahrir again about the same person within this time.
    remember_holdings: float = config_key("badges.remember_holdings", *_MINUTE, 60.0)

    # Cached counts of past messages.
    #: Count each message once, rather than all of them again.
    keep_counts: bool = config_key("badges.keep_counts", *_FLAG, True)
    #: How late datanommer may store a message that cached counts still include.
    keep_counts_distance: float = config_key("badges.keep_counts_distance", *_SECONDS, 600.0)
    #: None is the daemon's memory, with a file in the state directory behind it.
    cache: tuple[str, Mapping[str, Any]] | None = config_key(
        "badges.cache",
        "a mapping with the 'backend' of dogpile.cache and its 'arguments', or None",
        values.cache,
        repr=False,
    )

    # Metrics and health checks.
    #: Serve metrics and health checks here.
    metrics_address: tuple[str, int] | Path | None = config_key(
        "badges.metrics.address",
        "a host and a port, such as '127.0.0.1:9414', or the absolute path of a socket",
        values.listen_address,
    )
    #: Health checks say that the daemon is not ready if it is further behind.
    metrics_max_lag: float = config_key("badges.metrics.max_lag", *_TIMEOUT, 900.0)

    # Accounts and other services.
    #: Where to ask who has an account; None gives badges to any name.
    accounts: str | None = config_key("badges.accounts", "None or 'fasjson'", values.accounts)
    #: Where FASJSON is.
    fasjson_url: str | None = config_key(
        "badges.fasjson.url",
        "the address of FASJSON, such as 'https://fasjson.example.org'",
        values.web_address,
    )
    #: Authenticate as this principal, rather than as the one of the current ticket.
    fasjson_principal: str | None = config_key(
        "badges.fasjson.principal", "a Kerberos principal", values.text
    )
    #: Authenticate by Kerberos.
    fasjson_auth: bool = config_key("badges.fasjson.auth", *_FLAG, True)
    #: How long an answer of FASJSON may take.
    fasjson_timeout: float = config_key("badges.fasjson.timeout", *_TIMEOUT, 10.0)
    #: How long answers about accounts are cached.
    fasjson_cache: float = config_key("badges.fasjson.cache", *_SECONDS, 600.0)
    #: Badges for those in a group, which ``fedbadges backfill --groups`` gives.
    group_badges: tuple[GroupBadge, ...] = config_key(
        "badges.group_badges",
        "a list of mappings with 'group', 'badge' and perhaps 'memberships'",
        values.mappings,
        (),
    )
    #: Where avatars are.
    libravatar_url: str = config_key(
        "badges.libravatar.url",
        "the address of Libravatar's avatars, such as 'https://seccdn.libravatar.org/avatar'",
        values.web_address,
        "https://seccdn.libravatar.org/avatar",
    )
    #: How long an answer of Libravatar may take.
    libravatar_timeout: float = config_key("badges.libravatar.timeout", *_TIMEOUT, 10.0)

    #: The whole configuration, for fedmsg itself; that of fedora-messaging has ours alone.
    fedmsg: Mapping[str, Any] = field(repr=False, compare=False)

    def email_of(self, username: str) -> str:
        """Return the e-mail address by which tahrir knows an account."""
        return f"{username}@{self.email_domain}"


#: The keys of Settings and of Issuer, by the names of their fields.
KEYS = keys_of(Settings)
ISSUER_KEYS = keys_of(Issuer)

#: fedmsg fails without these, and its own defaults may be switched off.
_HUB_KEY = ConfigKey("validate_signatures", _FLAG[0], bool, REQUIRED)
_ZEROMQ_KEYS = (
    ConfigKey("zmq_enabled", "True, where no other bus is named", values.true, REQUIRED),
    ConfigKey("endpoints", "a mapping from names to lists of addresses", values.mapping, REQUIRED),
)
#: Prefixes of the keys of fedbadges.
_OUR_PREFIXES = ("badges.", "badges_", "fedbadges.")
#: Keys that name a broker to which moksha speaks STOMP.
STOMP = ("stomp_uri", "stomp_broker")
#: Keys that configure another bus than ZeroMQ.
_OTHER_BUSES = (*STOMP, "amqp_broker")
_STOMPER_MISSING = (
    "stomper is not installed, which STOMP needs; pip install '.[stomp]' in a clone of fedbadges"
)

#: How topics begin, for ``fedmsg.meta``, which needs to be told; fedmsg's own default.
_TOPIC_PREFIX = {"topic_prefix_re": r"org\.fedoraproject\.[^\W\d_]+"}


def toml_configuration(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the configuration in fedora-messaging's file ``path``, as fedmsg would have it.

    ``table`` is the one for consumers.
    """
    known = {
        ENABLED,
        MONITORING_SOCKET,
        *(key.within[0] if key.within else key.name for key in KEYS.values()),
    }
    config, translation = translate(join_keys(table, known), known)
    return {
        **_TOPIC_PREFIX,
        **config,
        # Nothing has a signature there, and what is stored must not pass for verified.
        "validate_signatures": False,
        "sign_messages": False,
        "config_filename": str(path),
        **({} if translation is None else {TRANSLATION: translation}),
    }


def read_settings(
    config: Mapping[str, Any], *, in_hub: bool = False
) -> tuple[Settings, tuple[str, ...]]:
    """Read the configuration; with ``in_hub``, check the keys that a hub needs as well.

    Return the settings, and a warning for each unknown key that looks like one of ours. Raise
    SettingsError with every mistake.
    """
    reader = ConfigReader(config)
    reader.mapping(_ISSUER)
    read = reader.read_all(Settings)
    key = KEYS["group_badges"]
    group_badges, unknown = reader.read_list(key, GroupBadge) if read["group_badges"] else ([], [])
    read["group_badges"] = tuple(group_badges)
    if (read["accounts"] is not None or group_badges) and config.get(
        KEYS["fasjson_url"].name
    ) is None:
        reader.report(KEYS["fasjson_url"])
    if in_hub:
        _check_hub_keys(config, reader)
    issuer = reader.read_all(Issuer)
    translation = config.get(TRANSLATION)
    if translation is not None:
        reader.mistakes += translation.mistakes(reader.files)
        unknown += translation.warnings(reader.files)
        known = [*known_names(), *(key.name for key in KEYS.values() if not key.within)]
        unknown += (reader.unknown(name, (), known) for name in translation.unknown)
    if reader.mistakes:
        raise SettingsError(reader.mistakes)
    settings = Settings(**read, issuer=Issuer(**issuer), fedmsg=config)
    return settings, (*_unknown_keys(reader), *unknown)


def _check_hub_keys(config: Mapping[str, Any], reader: ConfigReader) -> None:
    zeromq = not any(config.get(name) for name in _OTHER_BUSES)
    for key in (_HUB_KEY, *(_ZEROMQ_KEYS if zeromq else ())):
        reader.read(key)
    for name in filter(config.get, STOMP):
        if importlib.util.find_spec("stomper") is None:
            reader.mistakes.append(f"{reader.locate(name)}: '{name}': {_STOMPER_MISSING}")


def _unknown_keys(reader: ConfigReader) -> tuple[str, ...]:
    keys = ISSUER_KEYS.values()
    issuer = [name for key in keys for name in (key.name, key.older_name) if name]
    known = {
        (): [ENABLED, *_GLOBAL, *(key.name for key in KEYS.values() if not key.within)],
        _GLOBAL: ["database_uri", "badge_issuer"],
        _ISSUER: ["issuer_id", *issuer],
    }
    return tuple(
        reader.unknown(name, path, names)
        for path, names in known.items()
        for name in reader.mapping(path) or ()
        if name not in names and (path or str(name).startswith(_OUR_PREFIXES))
    )
