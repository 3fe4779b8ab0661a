"""Every configuration key: its default, its unit, and how mistakes in it are reported."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from fedbadges.config.settings import Settings, read_settings
from fedbadges.errors import SettingsError

GOOD: dict[str, Any] = {
    "database_uri": "sqlite:///tahrir.db",
    "badge_issuer": {
        "issuer_origin": "https://badges.example.org",
        "issuer_name": "Example Badges",
        "issuer_org": "https://example.org",
        "issuer_contact": "badges@example.org",
    },
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The least that the daemon needs, where no configuration file is found."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    return {
        "badges.yaml.directory": str(tmp_path),
        "badges_global": {**GOOD, "badge_issuer": dict(GOOD["badge_issuer"])},
        "datanommer.sqlalchemy.url": "sqlite:///datanommer.db",
    }


def settings_of(config: dict[str, Any]) -> Settings:
    settings, _ = read_settings(config)
    return settings


def mistakes(config: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(config)
    assert str(caught.value) == "\n".join(caught.value.lines)
    assert not any("\n" in line for line in caught.value.lines)
    return caught.value.lines


def only_mistake(config: dict[str, Any]) -> str:
    (line,) = mistakes(config)
    return line


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("datagrepper_url", "https://apps.fedoraproject.org/datagrepper"),
        ("consume_delay", 3.0),
        ("delay_limit", 100),
        ("stomp_destination", "/topic/{topic}"),
        ("record_messages", False),
        ("create_tables", False),
        ("banned_usernames", {"bodhi", "oscar", "apache", "koji", "taskotron"}),
        ("email_domain", "fedoraproject.org"),
        ("id_provider_hostname", "id.fedoraproject.org"),
        ("distgit_hostname", "src.fedoraproject.org"),
        ("krb_realm", "FEDORAPROJECT.ORG"),
        ("rank_interval", 5.0),
        ("progress", False),
        ("series", False),
        ("metrics_address", None),
        ("metrics_max_lag", 900.0),
        ("dialect", "fedbadges-1"),
        ("accounts", None),
        ("fasjson_url", None),
        ("fasjson_principal", None),
        ("fasjson_auth", True),
        ("fasjson_timeout", 10.0),
        ("fasjson_cache", 600.0),
        ("libravatar_url", "https://seccdn.libravatar.org/avatar"),
        ("libravatar_timeout", 10.0),
    ],
)
def test_a_key_that_is_not_set_has_its_default_value(
    config: dict[str, Any], field: str, default: object
) -> None:
    assert getattr(settings_of(config), field) == default


@pytest.mark.parametrize(
    ("key", "value", "field", "meaning"),
    [
        ("badges.consume_delay", 0, "consume_delay", 0.0),
        ("badges.consume_delay", 0.5, "consume_delay", 0.5),
        ("badges.consume_delay", "7", "consume_delay", 7.0),
        ("badges.delay_limit", 0, "delay_limit", 0),
        ("badges.delay_limit", "20", "delay_limit", 20),
        (
            "badges.stomp_destination",
            "/exchange/fedmsg/{topic}",
            "stomp_destination",
            "/exchange/fedmsg/{topic}",
        ),
        ("badges.delay_limit", 20.0, "delay_limit", 20),
        ("badges.record_messages", True, "record_messages", True),
        ("badges.create_tables", True, "create_tables", True),
        ("badges.banned_usernames", ("Bot", "robot "), "banned_usernames", {"bot", "robot"}),
        ("badges.banned_usernames", [], "banned_usernames", frozenset()),
        ("badges.email_domain", "Example.ORG", "email_domain", "example.org"),
        (
            "badges.id_provider_hostname",
            " ID.Example.org",
            "id_provider_hostname",
            "id.example.org",
        ),
        ("badges.distgit_hostname", "localhost", "distgit_hostname", "localhost"),
        ("badges.krb_realm", "Example.ORG", "krb_realm", "EXAMPLE.ORG"),
        ("badges.rank_interval", 1.5, "rank_interval", 1.5),
        ("badges.dialect", "fedbadges-2", "dialect", "fedbadges-2"),
        ("badges.progress", True, "progress", True),
        ("badges.series", True, "series", True),
        ("badges.metrics.address", "localhost:9414", "metrics_address", ("localhost", 9414)),
        ("badges.metrics.address", "[::1]:9414", "metrics_address", ("::1", 9414)),
        ("badges.metrics.address", "/run/m.sock", "metrics_address", Path("/run/m.sock")),
        ("badges.metrics.max_lag", 60, "metrics_max_lag", 60.0),
        ("fedbadges.datagrepper_url", "http://d.example/", "datagrepper_url", "http://d.example"),
        ("badges.fasjson.url", "https://f.example/", "fasjson_url", "https://f.example"),
        ("badges.fasjson.principal", "badges@EXAMPLE", "fasjson_principal", "badges@EXAMPLE"),
        ("badges.fasjson.auth", False, "fasjson_auth", False),
        ("badges.fasjson.timeout", 0.5, "fasjson_timeout", 0.5),
        ("badges.fasjson.cache", 0, "fasjson_cache", 0.0),
        ("badges.libravatar.url", "http://l.example/a/", "libravatar_url", "http://l.example/a"),
        ("badges.libravatar.timeout", 3, "libravatar_timeout", 3.0),
    ],
)
def test_a_valid_value_of_a_key_is_parsed(
    config: dict[str, Any], key: str, value: object, field: str, meaning: object
) -> None:
    assert getattr(settings_of(config | {key: value}), field) == meaning


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("badges.consume_delay", "soon", "a number of seconds, from 0 to 86400"),
        ("badges.consume_delay", -1, "a number of seconds, from 0 to 86400"),
        ("badges.consume_delay", True, "a number of seconds, from 0 to 86400"),
        ("badges.consume_delay", float("nan"), "a number of seconds, from 0 to 86400"),
        ("badges.consume_delay", 10**400, "a number of seconds, from 0 to 86400"),
        ("badges.rank_interval", 86_401, "a number of seconds, from 0 to 86400"),
        ("badges.progress", 1, "True or False"),
        ("badges.series", "yes", "True or False"),
        *(
            (
                "badges.metrics.address",
                value,
                "a host and a port, such as '127.0.0.1:9414', or the absolute path of a socket",
            )
            for value in (
                9414,
                "localhost",
                "host:0",
                "host:65536",
                "run/m",
                "/" + 107 * "n",
                "::1:1",
            )
        ),
        ("badges.rank_interval", [], "a number of seconds, from 0 to 86400"),
        ("badges.remember_holdings", 61, "a number of seconds, from 0 to 60"),
        ("badges.delay_limit", -1, "a number of messages, 0 or more"),
        *(
            (
                "badges.stomp_destination",
                value,
                "a destination with '{topic}' in it, such as '/topic/{topic}'",
            )
            for value in ("/topic/badges", "/topic/{topic}\nreceipt:1", 1)
        ),
        ("badges.delay_limit", 1.5, "a number of messages, 0 or more"),
        ("badges.delay_limit", float("inf"), "a number of messages, 0 or more"),
        ("badges.delay_limit", "many", "a number of messages, 0 or more"),
        ("badges.record_messages", "yes", "True or False"),
        ("badges.create_tables", 1, "True or False"),
        ("badges.banned_usernames", "bodhi", "a list of names"),
        ("badges.banned_usernames", [1], "a list of names"),
        ("badges.email_domain", "me@example.org", "a domain, such as 'fedoraproject.org'"),
        ("badges.email_domain", "", "a domain, such as 'fedoraproject.org'"),
        ("badges.id_provider_hostname", "https://id.example.org", "the name of a host, such as "),
        ("badges.id_provider_hostname", "id.example.org:80", "the name of a host, such as "),
        ("badges.distgit_hostname", "", "the name of a host, such as 'id.fedoraproject.org'"),
        ("badges.distgit_hostname", "src..example", "the name of a host, such as "),
        ("badges.distgit_hostname", ["a.example"], "the name of a host, such as "),
        ("badges.krb_realm", "me@EXAMPLE.ORG", "a Kerberos realm, such as 'FEDORAPROJECT.ORG'"),
        ("fedbadges.datagrepper_url", "example.org", "the address of datagrepper, such as "),
        (
            "fedbadges.datagrepper_url",
            "https://me:secret@d.example",
            "the address of datagrepper, ",
        ),
        ("badges.yaml.directory", 5, "the directory that has the rule files"),
        ("badges.yaml.directory", "nowhere", "the directory that has the rule files"),
        ("badges.yaml.directory", "~nobody-of-that-name/rules", "the directory that has the rule"),
        ("badges.yaml.directory", "/dev/null/rules", "the directory that has the rule files"),
        ("badges.yaml.directory", "x" * 5000, "the directory that has the rule files"),
        ("badges.yaml.directory", "a\x00b", "the directory that has the rule files"),
        ("datanommer.sqlalchemy.url", "datanommer.db", "a database URL, such as 'postgresql://"),
        ("datanommer.sqlalchemy.url", "mysql://host/name", "a database URL, such as 'postgresql:"),
        ("datanommer.sqlalchemy.url", "postgresql://host:x/name", "a database URL, such as "),
        ("datanommer.sqlalchemy.url", "postgresql+nodriver://h/n", "a database URL, such as "),
        ("badges_global", "sqlite:///tahrir.db", "a mapping"),
        ("badges.accounts", "ldap", "None or 'fasjson'"),
        ("badges.accounts", False, "None or 'fasjson'"),
        ("badges.fasjson.url", "fasjson.example", "the address of FASJSON, such as "),
        ("badges.fasjson.principal", 5, "a Kerberos principal"),
        ("badges.fasjson.auth", "no", "True or False"),
        ("badges.fasjson.timeout", 0, "a number of seconds, more than 0 and up to 86400"),
        ("badges.fasjson.cache", -1, "a number of seconds, from 0 to 86400"),
        ("badges.libravatar.url", "", "the address of Libravatar's avatars, such as "),
        ("badges.libravatar.timeout", 0, "a number of seconds, more than 0 and up to 86400"),
    ],
)
def test_a_malformed_key_is_reported_with_what_is_expected(
    config: dict[str, Any], key: str, value: object, expected: str
) -> None:
    line = only_mistake(config | {key: value})

    assert f"malformed key '{key}'; expected {expected}" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "key", ["badges.yaml.directory", "badges_global", "datanommer.sqlalchemy.url"]
)
@pytest.mark.parametrize("present", [True, False])
def test_a_missing_key_is_reported_with_what_is_expected(
    config: dict[str, Any], key: str, present: bool
) -> None:
    del config[key]
    if present and key != "badges_global":
        config[key] = None

    assert f"missing key '{key}'; expected " in only_mistake(config)


def test_a_missing_nested_key_is_reported_with_the_key_around_it(config: dict[str, Any]) -> None:
    del config["badges_global"]["database_uri"]
    del config["badges_global"]["badge_issuer"]["issuer_org"]

    database, issuer = mistakes(config)

    assert "missing key 'database_uri' in 'badges_global'; expected a database URL" in database
    assert "missing key 'issuer_org' in 'badge_issuer'; expected text of at most 128" in issuer


def test_a_missing_issuer_is_reported_once(config: dict[str, Any]) -> None:
    del config["badges_global"]["badge_issuer"]

    assert "missing key 'badge_issuer'; expected a mapping" in only_mistake(config)


def test_issuer_text_of_more_than_128_characters_is_reported(config: dict[str, Any]) -> None:
    config["badges_global"]["badge_issuer"]["issuer_name"] = "x" * 129

    assert "malformed key 'issuer_name' in 'badge_issuer'" in only_mistake(config)
    assert only_mistake(config).endswith("(129 characters)")


def test_older_names_of_issuer_keys_are_accepted(config: dict[str, Any]) -> None:
    issuer = config["badges_global"]["badge_issuer"]
    issuer["issuer_url"] = issuer.pop("issuer_org")
    issuer["issuer_email"] = issuer.pop("issuer_contact")

    settings, warnings = read_settings(config)

    assert settings.issuer.org == "https://example.org"
    assert settings.issuer.contact == "badges@example.org"
    assert warnings == ()


def test_fasjson_accounts_require_fasjson_client(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fasjson_client", None)
    keys = {"badges.accounts": "fasjson", "badges.fasjson.url": "https://fasjson.example.org"}

    assert only_mistake(config | keys).endswith(
        ": malformed key 'badges.accounts'; expected None or 'fasjson' "
        "(fasjson-client is not installed; pip install '.[fasjson]' in a clone of fedbadges)"
    )


def test_fasjson_accounts_require_an_address(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fasjson_client", types.ModuleType("fasjson_client"))

    line = only_mistake(config | {"badges.accounts": "fasjson"})

    assert "missing key 'badges.fasjson.url'; expected the address of FASJSON, such as " in line


def test_all_mistakes_in_the_configuration_are_reported_together(config: dict[str, Any]) -> None:
    config |= {"badges.consume_delay": "x", "badges.delay_limit": "y", "badges.create_tables": "z"}
    del config["badges_global"]["database_uri"]

    assert [line.split("'")[1] for line in mistakes(config)] == [
        "database_uri",
        "badges.create_tables",
        "badges.consume_delay",
        "badges.delay_limit",
    ]


def test_a_mistake_is_reported_with_file_line_and_column(
    config: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "fedmsg.d" / "badges.py"
    file.parent.mkdir()
    file.write_text('config = {\n    "badges.consume_delay": "soon",\n}\n')

    line = only_mistake(config | {"badges.consume_delay": "soon"})

    assert line.startswith(f"{file}:2:5: malformed key 'badges.consume_delay'; expected a number")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("badges.consume_dely", "badges.consume_delay"),
        ("badges.record_message", "badges.record_messages"),
        ("badges.banned_users", "badges.banned_usernames"),
        ("badges.rules_dir", None),
        ("fedbadges.datagreper_url", "fedbadges.datagrepper_url"),
    ],
)
def test_an_unknown_key_is_a_warning_with_the_closest_match(
    config: dict[str, Any], key: str, hint: str | None
) -> None:
    _, (warning,) = read_settings(config | {key: 1})

    assert f"unknown key '{key}'" in warning
    if hint:
        assert warning.endswith(f"; did you mean '{hint}'?")


def test_unknown_nested_keys_are_warnings(config: dict[str, Any]) -> None:
    config["badges_global"]["database_url"] = "sqlite://"
    config["badges_global"]["badge_issuer"]["issuer_nmae"] = "x"

    _, warnings = read_settings(config)

    assert [warning.partition(": ")[2] for warning in warnings] == [
        "unknown key 'database_url'; did you mean 'database_uri'?",
        "unknown key 'issuer_nmae'; did you mean 'issuer_name'?",
    ]


def test_keys_of_other_programs_are_ignored(config: dict[str, Any]) -> None:
    config |= {"endpoints": {}, "zmq_enabled": True, "datanommer.enabled": True, 5: None}

    assert read_settings(config)[1] == ()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_a_postgresql_url_without_a_driver_uses_psycopg2(
    config: dict[str, Any], scheme: str
) -> None:
    config["badges_global"]["database_uri"] = f"{scheme}://user:pass@host:5433/name"

    url = settings_of(config).tahrir_url

    assert url == make_url("postgresql+psycopg2://user:pass@host:5433/name")


@pytest.mark.parametrize(
    "url", ["postgresql://user:sesame@host/name", "postgresql://host/name?password=sesame"]
)
def test_repr_of_settings_hides_passwords(config: dict[str, Any], url: str) -> None:
    config["badges_global"]["database_uri"] = url
    config["datanommer.sqlalchemy.url"] = url

    assert "sesame" not in repr(settings_of(config))
    assert "sesame" not in str(settings_of(config))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:sesame@host/name",
        "postgresql://user:sesame@host:port/name",
        "postgresql//user:sesame@host/name",
        "postgresql+nodriver://user:sesame@host/name",
    ],
)
def test_mistakes_in_database_urls_hide_passwords(config: dict[str, Any], url: str) -> None:
    config["datanommer.sqlalchemy.url"] = url

    assert "sesame" not in only_mistake(config)


def test_a_tilde_in_a_directory_is_expanded(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()

    settings = settings_of(config | {"badges.yaml.directory": "~/rules"})

    assert settings.rules_directory == tmp_path / "rules"


@pytest.mark.parametrize("workers", [0, -1, "two", 1.5, None, True, "0"])
def test_fewer_than_one_worker_is_reported(config: dict[str, Any], workers: Any) -> None:
    config["moksha.workers_per_consumer"] = workers
    if workers is None:
        assert settings_of(config).workers == 1
        return

    assert "malformed key 'moksha.workers_per_consumer'; expected a number of threads" in (
        only_mistake(config)
    )


def test_the_number_of_workers_may_be_text(config: dict[str, Any]) -> None:
    assert settings_of(config | {"moksha.workers_per_consumer": "2"}).workers == 2


HUB = {"zmq_enabled": True, "endpoints": {}, "validate_signatures": False}


@pytest.mark.parametrize("key", HUB)
def test_a_key_that_a_hub_requires_is_reported_if_missing(
    config: dict[str, Any], tmp_path: Path, key: str
) -> None:
    rest = {name: value for name, value in HUB.items() if name != key}
    folder = tmp_path / "fedmsg.d"
    folder.mkdir()
    (folder / "badges.py").write_text("config = {}")

    assert settings_of(config | rest)
    with pytest.raises(SettingsError) as caught:
        read_settings(config | rest, in_hub=True)
    (line,) = caught.value.lines
    assert line.startswith(f"{folder}: missing key '{key}'; expected ")


@pytest.mark.parametrize(("key", "value"), [("zmq_enabled", False), ("endpoints", ["tcp://a"])])
def test_a_hub_without_a_usable_bus_is_reported(
    config: dict[str, Any], key: str, value: Any
) -> None:
    with pytest.raises(SettingsError, match=f"malformed key '{key}'"):
        read_settings(config | HUB | {key: value}, in_hub=True)


def test_a_hub_on_another_bus_does_not_require_zeromq_keys(config: dict[str, Any]) -> None:
    read_settings(config | {"stomp_uri": "broker:61613", "validate_signatures": False}, in_hub=True)


def test_stomp_without_stomper_is_a_mistake(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stomper", None)
    stomp = {"stomp_uri": "broker:61613", "validate_signatures": False}

    with pytest.raises(SettingsError) as caught:
        read_settings(config | stomp, in_hub=True)

    (line,) = caught.value.lines
    assert line.endswith(
        "'stomp_uri': stomper is not installed, which STOMP needs; "
        "pip install '.[stomp]' in a clone of fedbadges"
    )
