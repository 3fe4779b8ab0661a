"""Recipients: who a message says should get the badge."""

import pytest
from support.rule_text import load, message

from fedbadges.errors import MissingValue
from fedbadges.rules.recipients import Everybody, TrustedDomains, account

TRUSTED = TrustedDomains()


def candidates(value: object, *keys: str) -> list[str]:
    """Returns the account names in ``msg.who``, by a rule that has these keys besides."""
    return [found.name for found in _find(value, *keys) if found.name is not None]


def dropped(value: object, *keys: str) -> list[str]:
    """Returns why what stands in ``msg.who`` is no account."""
    return [found.dropped for found in _find(value, *keys) if found.name is None]


def _find(value: object, *keys: str, trusted: TrustedDomains = TRUSTED):
    lines = ['recipient: "%(msg.who)s"', *(f"{key}: Yes" for key in keys)]
    recipient = load("\n".join(lines)).recipient
    assert recipient is not None
    return recipient.find(message(msg={"who": value}).body, trusted)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("alice", ["alice"]),
        (["alice", "bob"], ["alice", "bob"]),
        ([{"name": "alice"}, {"name": "bob"}], ["alice", "bob"]),
        ({"name": "alice", "fullname": "Alice A."}, ["alice"]),
        ({"alice": 12, "bob": 3}, ["alice", "bob"]),
        ({"name": 1, "alice": 2}, ["name", "alice"]),
        ({"alice": ["hello"], "name": []}, ["alice", "name"]),
        ({"name": "alice", "bob": 2}, ["alice"]),
        ({"name": None, "id": 7}, []),
        ({"name": None, "fullname": None}, []),
        (
            [{"name": "alice"}, "bob", [{"name": "carol"}, [["dave"]]]],
            ["alice", "bob", "carol", "dave"],
        ),
        ([[], [[]]], []),
        (None, []),
        ([], []),
        ({}, []),
    ],
)
def test_a_recipient_may_be_a_name_names_objects_keys_or_nothing(value, names):
    assert candidates(value) == names


def test_a_rule_without_recipient_has_none():
    assert load("").recipient is None


def test_a_message_without_the_path_of_the_recipient_names_nobody():
    recipient = load('recipient: "%(msg.who.name)s"').recipient
    with pytest.raises(MissingValue):
        recipient.find(message().body, TRUSTED)


def test_account_names_are_in_lower_case_and_otherwise_unchanged():
    assert candidates(["Alice", "BOB-2", "c_d.e+f"]) == ["alice", "bob-2", "c_d.e+f"]


@pytest.mark.parametrize(
    "name", ["a", "_", "alice_", "7even.of.9", "0xcafe", "1.two", "a[b]\\c^d{e}|f`g", "josé"]
)
def test_an_unusual_name_may_be_an_account(name):
    assert candidates(name) == [name]


def test_a_name_of_other_letters_does_not_become_an_account_in_lower_case():
    kelvin = "\N{KELVIN SIGN}evin"
    assert candidates(kelvin) == []
    assert dropped(kelvin) == ["has characters that no account name has"]


def test_text_around_a_template_belongs_to_the_name():
    recipient = load('recipient: "bot-%(msg.who)s"').recipient
    (found,) = recipient.find(message(msg={"who": "alice"}).body, TRUSTED)
    assert found.name == "bot-alice"


@pytest.mark.parametrize("name", [None, 7, ["alice"], {"first": "alice"}])
def test_an_object_whose_name_is_no_text_names_nobody(name):
    assert candidates({"name": name, "fullname": "Alice A."}) == []


ENDS = "does not begin and end with a letter, a digit or '_'"
IMPOSSIBLE = [
    ("192.168.0.1", "is an IP address"),
    ("192.0.2.007", "is an IP address"),
    ("192.0.2.7.", "is an IP address"),
    ("192.0.2.7:80", "is an IP address"),
    ("127.1", "is an IP address"),
    ("2130706433", "is an IP address"),
    ("0x7f.1", "is an IP address"),
    ("0X7F.0.0.0x1", "is an IP address"),
    ("[::1]", "is an IP address"),
    ("[2001:DB8::7]:80", "is an IP address"),
    ("alice:secret", "has characters that no account name has"),
    ("%", "has characters that no account name has"),
    ("%(msg.user)s", "has characters that no account name has"),
    (".", ENDS),
    ("..", ENDS),
    ("-alice", ENDS),
    ("alice.", ENDS),
    ("[alice]", ENDS),
    ("alice`", ENDS),
    ("::1", "is an IP address"),
    ("2001:DB8::8A2E:370:7334", "is an IP address"),
    ("fe80::1%eth0", "is an IP address"),
    ("alice smith", "has characters that no account name has"),
    (" alice", "has characters that no account name has"),
    ("alice\n", "has characters that no account name has"),
    ("alice\t", "has characters that no account name has"),
    ("alice\u00a0smith", "has characters that no account name has"),
    ("alice@example.org", "has characters that no account name has"),
    ("alice/admin", "has characters that no account name has"),
    ("https://example.org/user/alice", "has characters that no account name has"),
    ("alice\x00", "has characters that no account name has"),
    ("alice\ud800", "has characters that no account name has"),
    ("alice\u202ebob", "has characters that no account name has"),
    ("alice\u200b", "has characters that no account name has"),
    ("alice\ufeff", "has characters that no account name has"),
    ("a" * 65, "is longer than 64 characters"),
    ("İ" * 64, "is longer than 64 characters"),
    ("a" * 1_000_000, "is longer than 64 characters"),
    ("", "is empty"),
    (7, "is not text"),
    (True, "is not text"),
    (1.5, "is not text"),
    ([None], "is not text"),
    ([[None]], "is not text"),
    ([{"name": 1, "alice": 2}], "is not text"),
    ([{"nick": "alice"}], "is not text"),
    ([{"name": ["alice"]}], "is not text"),
]


@pytest.mark.parametrize(("value", "why"), IMPOSSIBLE, ids=[repr(v)[:30] for v, _ in IMPOSSIBLE])
def test_what_cannot_be_an_account_is_dropped_with_its_reason(value, why):
    assert dropped(value) == [why]
    assert candidates(value) == []


def test_an_impossible_name_does_not_drop_the_others():
    assert candidates(["alice", "10.0.0.1", 5, "bob"]) == ["alice", "bob"]


def test_a_name_of_64_characters_may_be_an_account():
    assert account("a" * 64).name == "a" * 64


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("recipient_email2fas", "alice@fedoraproject.org", "alice"),
        ("recipient_email2fas", "Alice@FedoraProject.ORG", "alice"),
        ("recipient_email2fas", "alice", "alice"),
        ("recipient_openid2fas", "http://alice.id.fedoraproject.org/", "alice"),
        ("recipient_openid2fas", "https://alice.id.fedoraproject.org", "alice"),
        ("recipient_openid2fas", "alice", "alice"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org/user/alice", "alice"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org/user/alice/", "alice"),
        ("recipient_distgit2fas", "alice", "alice"),
        ("recipient_krb2fas", "alice@FEDORAPROJECT.ORG", "alice"),
        ("recipient_krb2fas", "alice", "alice"),
        ("recipient_krb2fas", "alice@fedoraproject.org", "alice"),
        ("recipient_krb2fas", "packagerbot/host.example.org", "packagerbot"),
        ("recipient_krb2fas", "packagerbot/host.example.org@FEDORAPROJECT.ORG", "packagerbot"),
        ("recipient_krb2fas", "alice/admin@FEDORAPROJECT.ORG", "alice"),
        ("recipient_openid2fas", "HTTP://Alice.ID.FedoraProject.org/", "alice"),
        ("recipient_distgit2fas", "http://SRC.fedoraproject.org/user/alice", "alice"),
        ("recipient_nick2fas", "alice", "alice"),
        ("recipient_github2fas", "alice", "alice"),
        ("recipient_github2fas", "https://api.github.com/users/Alice", "alice"),
        ("recipient_github2fas", "https://github.com/alice", "alice"),
        ("recipient_github2fas", "http://www.GitHub.com/alice/", "alice"),
    ],
)
def test_a_conversion_turns_what_was_found_into_an_account_name(key, value, name):
    assert candidates(value, key) == [name]
    assert candidates([value, value], key) == [name, name]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipient_email2fas", "alice@example.org"),
        ("recipient_email2fas", "alice@fedoraproject.org@example.org"),
        ("recipient_email2fas", "@fedoraproject.org"),
        ("recipient_openid2fas", "https://example.org/alice"),
        ("recipient_openid2fas", "http://evil.example.org/alice.id.fedoraproject.org/"),
        ("recipient_distgit2fas", "https://example.org/alice"),
        ("recipient_email2fas", "alice@fedoraproject.org.evil.example"),
        ("recipient_email2fas", "alice@fedoraprojectXorg"),
        ("recipient_openid2fas", "http://alice.id.evil.example/"),
        ("recipient_openid2fas", "http://alice.id.fedoraproject.org.evil.example/"),
        ("recipient_openid2fas", "http://alice.xid.fedoraproject.org/"),
        ("recipient_openid2fas", "http://id.fedoraproject.org/alice"),
        ("recipient_openid2fas", "http://evil.example/?http://alice.id.fedoraproject.org/"),
        ("recipient_openid2fas", "http://alice.idXfedoraproject.org/"),
        ("recipient_openid2fas", "http://alice.id.fedoraproject.org/\nevil"),
        ("recipient_distgit2fas", "https://evil.example/user/alice"),
        ("recipient_distgit2fas", "https://evil.example/src.fedoraproject.org/user/alice"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org@evil.example/user/alice"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org.evil.example/user/alice"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org/rpms/alice"),
        ("recipient_krb2fas", "alice@EVIL.EXAMPLE"),
        ("recipient_krb2fas", "alice@FEDORAPROJECT.ORG@EVIL.EXAMPLE"),
        ("recipient_krb2fas", "alice/admin@EVIL.EXAMPLE"),
        ("recipient_krb2fas", "alice/a/b@FEDORAPROJECT.ORG"),
        ("recipient_krb2fas", "host/example.org@FEDORAPROJECT.ORG"),
        ("recipient_krb2fas", "HTTP/example.org"),
        ("recipient_github2fas", "https://github.evil.example/alice"),
        ("recipient_github2fas", "https://evil.example/users/alice"),
        ("recipient_github2fas", "https://github.com/alice/project"),
        ("recipient_github2fas", "https://github.com/alice?tab=stars"),
        ("recipient_openid2fas", "http://localhost?x.id.fedoraproject.org/"),
        ("recipient_openid2fas", "http://localhost#x.id.fedoraproject.org/"),
        ("recipient_openid2fas", "http://localhost\\x.id.fedoraproject.org/"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org/user/alice?page=2"),
        ("recipient_distgit2fas", "https://src.fedoraproject.org/user/alice#top"),
        ("recipient_krb2fas", "alice@X\n"),
        ("recipient_email2fas", None),
        ("recipient_openid2fas", 7),
        ("recipient_distgit2fas", ["a", "b"][:0]),
    ],
)
def test_a_conversion_invents_no_account(key, value):
    assert candidates(value, key) == []


OURS = TrustedDomains("mail.example", "id.example", "git.example", "REALM.EXAMPLE")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipient_email2fas", "alice@mail.example"),
        ("recipient_openid2fas", "https://alice.id.example"),
        ("recipient_distgit2fas", "https://git.example/user/alice"),
        ("recipient_krb2fas", "alice@REALM.EXAMPLE"),
    ],
)
def test_names_are_believed_from_the_configured_domains_alone(key, value):
    assert [each.name for each in _find(value, key, trusted=OURS)] == ["alice"]
    assert candidates(value, key) == []


@pytest.mark.parametrize(
    ("value", "keys", "why"),
    [
        (
            "http://alice.id.evil.example/",
            ["recipient_openid2fas"],
            "is neither a name nor like http://NAME.id.fedoraproject.org/",
        ),
        (
            "https://evil.example/user/alice",
            ["recipient_distgit2fas"],
            "is neither a name nor like https://src.fedoraproject.org/user/NAME",
        ),
        (
            "alice@EVIL.EXAMPLE",
            ["recipient_krb2fas", "recipient_email2fas"],
            "is neither a name nor like NAME@fedoraproject.org or NAME@FEDORAPROJECT.ORG",
        ),
        (
            "https://github.com/alice/project",
            ["recipient_github2fas"],
            "is neither a name nor like https://github.com/NAME",
        ),
        (
            "https://evil.example/user/" + "a" * 64,
            ["recipient_distgit2fas"],
            "is neither a name nor like https://src.fedoraproject.org/user/NAME",
        ),
        ("alice smith", ["recipient_nick2fas"], "has characters that no account name has"),
        ("192.0.2.7", ["recipient_krb2fas"], "is an IP address"),
        ("", ["recipient_krb2fas"], "is empty"),
    ],
)
def test_what_a_conversion_cannot_read_is_dropped_with_what_it_reads(value, keys, why):
    assert dropped(value, *keys) == [why]


def test_the_name_in_a_link_to_github_is_looked_up():
    class OnGitHub(Everybody):
        def by_github(self, name):
            return {"ali": "alice"}.get(name)

    recipient = load('recipient: "%(msg.who)s"\nrecipient_github2fas: Yes').recipient
    for who, name in [
        ("https://api.github.com/users/ali", "alice"),
        ("https://github.com/bo", None),
    ]:
        (found,) = recipient.find(message(msg={"who": who}).body, TRUSTED, OnGitHub())
        assert found.name == name


def test_a_conversion_that_is_off_does_nothing():
    recipient = load('recipient: "%(msg.who)s"\nrecipient_email2fas: No').recipient
    (found,) = recipient.find(message(msg={"who": "alice@fedoraproject.org"}).body, TRUSTED)
    assert found.name is None


def test_a_nick_that_is_no_account_name_is_looked_up_as_it_is():
    class Nicks(Everybody):
        def by_nick(self, nick):
            return {"[alice]`": "alice"}.get(nick)

    recipient = load('recipient: "%(msg.who)s"\nrecipient_nick2fas: Yes').recipient
    (found,) = recipient.find(message(msg={"who": "[alice]`"}).body, TRUSTED, Nicks())
    assert found.name == "alice"


def test_a_recipient_may_have_several_conversions():
    keys = ("recipient_nick2fas", "recipient_email2fas", "recipient_krb2fas")
    assert candidates("alice@fedoraproject.org", *keys) == ["alice"]
    assert candidates("bob@FEDORAPROJECT.ORG", *keys) == ["bob"]
