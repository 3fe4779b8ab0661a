"""How signatures are to be checked and made, from fedmsg's configuration.

The keys and what they mean are fedmsg's, as its own documentation of ``fedmsg.config`` has them.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from fedbadges.config.line_numbers import config_files, locate_key
from fedbadges.signatures.authority import now, problem_of_ca, problem_of_crl, read_ca, read_crl
from fedbadges.signatures.signing import certificate_of, signer_of
from fedbadges.signatures.sources import Unreadable, is_address, source

_METHODS = ("x509", "gpg")

#: What each key is expected to be.
_EXPECTED = {
    "crypto_validate_backends": "a list of 'x509', 'gpg' or both",
    "ca_cert_location": "the CA's certificate, a PEM file or an https:// address",
    "ca_cert_cache_expiry": "a number of seconds, 0 or more",
    "crl_location": "the CA's revocation list, a PEM file or an https:// address",
    "crl_cache_expiry": "a number of seconds, 0 or more",
    "routing_policy": "a mapping from topics to lists of certificates' names",
    "certnames": "a mapping with the name of a certificate and its key in 'ssldir'",
}


@dataclass(frozen=True)
class Options:
    """How messages are checked.

    ``envelopes`` says whether the topic that a message is sent under must be its own: on other
    buses than ZeroMQ it may be the name of a queue. Intervals are in seconds; 0 is for ever.
    """

    methods: frozenset[str]
    ca: str
    ca_interval: float
    crl: str | None
    crl_interval: float
    policy: Mapping[str, frozenset[str]]
    nitpicky: bool
    envelopes: bool


class _Refused(ValueError):
    """A value that is not taken; the text is our own."""


def read_options(config: Mapping[str, Any]) -> Options | None:
    """Read how messages are to be checked; None where they are not.

    Raises ValueError where ``mistakes`` finds something to say.
    """
    if not config.get("validate_signatures"):
        return None
    values = {field: parse(config.get(key)) for field, key, parse in _FIELDS}
    if not values["methods"]:
        values["methods"] = frozenset({"gpg" if config.get("crypto_backend") == "gpg" else "x509"})
    return Options(
        **values,
        nitpicky=bool(config.get("routing_nitpicky")),
        envelopes=bool(config.get("zmq_enabled", True)),
    )


def mistakes(config: Mapping[str, Any]) -> list[str]:
    """Give a line for each thing for which signatures could not be checked or made.

    Files are read; whatever is on the web is left to who will ask for it.
    """
    files = config_files(config)
    lines = []
    for key, reason in (*_mistakes_in_checking(config), *_mistakes_in_signing(config)):
        state = "missing" if config.get(key) is None else "malformed"
        explained = f" ({reason})" if reason else ""
        place = locate_key(key, None, files)
        lines.append(f"{place}: {state} key '{key}'; expected {_EXPECTED[key]}{explained}")
    return lines


def dangers(config: Mapping[str, Any]) -> list[str]:
    """Give a line for each thing that lets somebody have badges awarded who should not."""
    options = read_options(config)
    if options is None:
        return [
            "'validate_signatures' is False: whoever can reach the bus can forge messages, and so "
            "have any badge awarded to anybody"
        ]
    if "x509" in options.methods and options.crl is None:
        return ["'crl_location' is not set: certificates that were revoked are taken for good"]
    return []


def _mistakes_in_checking(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give keys, and why the value of each cannot be used, where there is more to say."""
    if not config.get("validate_signatures"):
        return
    malformed = [
        (key, reason)
        for _, key, parse in _FIELDS
        if (reason := _refusal(parse, config.get(key))) is not None
    ]
    yield from malformed
    if malformed:
        return
    options = read_options(config)
    assert options is not None
    if "gpg" in options.methods and shutil.which("gpg") is None:
        yield "crypto_validate_backends", "the program gpg is not installed"
    if "x509" in options.methods:
        yield from _mistakes_in_files(options)


def _refusal(parse: Callable[[Any], Any], value: Any) -> str | None:
    """Tell why a value is not taken, in as many words as are ours; None where it is."""
    try:
        parse(value)
    except _Refused as error:
        return str(error)
    except (ValueError, TypeError, OverflowError):
        return ""
    return None


def _mistakes_in_files(options: Options) -> Iterator[tuple[str, str]]:
    ca: x509.Certificate | None = None
    if not options.ca:
        yield "ca_cert_location", ""
    elif not is_address(options.ca):
        try:
            ca = read_ca(_read(options.ca))
            _deny(problem_of_ca(ca, now()))
        except (Unreadable, ValueError) as error:
            yield "ca_cert_location", str(error)
    if options.crl is not None and not is_address(options.crl):
        try:
            _deny(problem_of_crl(read_crl(_read(options.crl), ca), now()))
        except (Unreadable, ValueError) as error:
            yield "crl_location", str(error)


def _mistakes_in_signing(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        signer = signer_of(config)
    except (KeyError, ValueError, TypeError):
        yield "certnames", f"without '{certificate_of(config)}' nothing can be signed"
        return
    if signer is None:
        return
    try:
        signer.see_fit()
    except Unreadable as error:
        yield "certnames", str(error)


def _read(path: str) -> bytes:
    text = source(path, 0).read()
    assert text is not None
    return text


def _deny(problem: str | None) -> None:
    if problem is not None:
        raise ValueError(problem)


def _methods(value: Any) -> frozenset[str]:
    """Take methods of checking; none of them means that of signing."""
    if value is None:
        return frozenset()
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    methods = frozenset(value)
    if methods - set(_METHODS):
        raise ValueError
    return methods


def _location(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError
    return value


def _optional_location(value: Any) -> str | None:
    return _location(value) or None


def _interval(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    seconds = 0.0 if value is None else float(value)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _policy(value: Any) -> Mapping[str, frozenset[str]]:
    """Take who may send what. A single text for a name would let parts of it pass for names."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError
    return {topic: _names(topic, names) for topic, names in value.items()}


def _names(topic: object, names: Any) -> frozenset[str]:
    if not isinstance(names, (list, tuple, set, frozenset)):
        raise _Refused(f"{topic!r} has no list")
    return frozenset(names)


#: The fields of Options that have a key of their own, with what reads it.
_FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("methods", "crypto_validate_backends", _methods),
    ("ca", "ca_cert_location", _location),
    ("ca_interval", "ca_cert_cache_expiry", _interval),
    ("crl", "crl_location", _optional_location),
    ("crl_interval", "crl_cache_expiry", _interval),
    ("policy", "routing_policy", _policy),
)
