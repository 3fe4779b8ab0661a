"""How signatures are verified and made: fedmsg's own keys, which mean what fedmsg documents."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fedbadges.config.reader import ConfigKey, ConfigReader, config_key, keys_of
from fedbadges.config.values import MalformedValue, interval, items, mapping, of_type
from fedbadges.signatures.authority import CertificateError, read_ca, read_crl, utc_now
from fedbadges.signatures.authority_cache import is_url
from fedbadges.signatures.files import read_bytes
from fedbadges.signatures.signing import certificate_of, signer_of

_SECONDS = ("a number of seconds, 0 or more", interval)
_LOCATION = partial(of_type, str)


def _methods(value: Any) -> frozenset[str]:
    methods = items(value)
    if methods - {"x509", "gpg"}:
        raise ValueError
    return methods


def _policy(value: Any) -> Mapping[str, frozenset[str]]:
    """Return the names that may send each topic; text is no list, though it can be iterated."""
    policy = {}
    for topic, names in mapping(value).items():
        try:
            policy[topic] = items(names)
        except ValueError:
            raise MalformedValue(f"{topic!r} has no list") from None
    return policy


@dataclass(frozen=True)
class Options:
    """How messages are verified. Intervals are in seconds; 0 means never."""

    #: By default, the method by which the daemon itself signs.
    methods: frozenset[str] = config_key(
        "crypto_validate_backends", "a list of 'x509', 'gpg' or both", _methods, ()
    )
    ca: str = config_key(
        "ca_cert_location", "the CA's certificate, a PEM file or an https:// address", _LOCATION, ""
    )
    ca_interval: float = config_key("ca_cert_cache_expiry", *_SECONDS, 0.0)
    crl: str = config_key(
        "crl_location", "the CA's revocation list, a PEM file or an https:// address", _LOCATION, ""
    )
    crl_interval: float = config_key("crl_cache_expiry", *_SECONDS, 0.0)
    #: The names of the certificates that may send a topic.
    policy: Mapping[str, frozenset[str]] = config_key(
        "routing_policy", "a mapping from topics to lists of certificates' names", _policy, {}
    )
    #: Reject topics that the policy does not have.
    nitpicky: bool = config_key("routing_nitpicky", "True or False", bool, False)
    #: A message must be sent under its own topic. On a queue, it may be sent under another name.
    match_topic: bool = config_key("zmq_enabled", "True or False", bool, True)


_KEYS = keys_of(Options)
_CERTNAMES = ConfigKey(
    "certnames", "a mapping with the name of a certificate and its key in 'ssldir'", mapping
)


def read_options(config: Mapping[str, Any]) -> Options | None:
    """Return how messages are verified, or None if they are not; raise ValueError for mistakes."""
    reader = ConfigReader(config)
    options = _read_options(reader, config)
    if reader.mistakes:
        raise ValueError("\n".join(reader.mistakes))
    return options


def mistakes(config: Mapping[str, Any]) -> list[str]:
    """Return why signatures cannot be verified or made, a line each; no URL is requested."""
    reader = ConfigReader(config)
    options = _read_options(reader, config)
    if options is not None and not reader.mistakes:
        _check_verification(options, reader)
    try:
        if signer := signer_of(config):
            signer.read()
    except (KeyError, ValueError, TypeError):
        reader.report(_CERTNAMES, f"without '{certificate_of(config)}' nothing can be signed")
    except CertificateError as error:
        reader.report(_CERTNAMES, str(error))
    return reader.mistakes


def dangers(config: Mapping[str, Any]) -> list[str]:
    """Return a warning for each setting that lets somebody forge messages."""
    options = read_options(config)
    if options is None:
        return [
            "'validate_signatures' is False: whoever can reach the bus can forge messages, and so "
            "have any badge awarded to anybody"
        ]
    if "x509" in options.methods and not options.crl:
        return ["'crl_location' is not set: revoked certificates are accepted"]
    return []


def _read_options(reader: ConfigReader, config: Mapping[str, Any]) -> Options | None:
    if not config.get("validate_signatures"):
        return None
    values = reader.read_all(Options)
    if not values["methods"]:
        values["methods"] = frozenset({"gpg" if config.get("crypto_backend") == "gpg" else "x509"})
    return Options(**values)


def _check_verification(options: Options, reader: ConfigReader) -> None:
    if "gpg" in options.methods and shutil.which("gpg") is None:
        reader.report(_KEYS["methods"], "the program gpg is not installed")
    if "x509" not in options.methods:
        return
    if not options.ca:
        reader.report(_KEYS["ca"])
    ca = _read(options.ca, _KEYS["ca"], read_ca, reader)
    _read(options.crl, _KEYS["crl"], partial(read_crl, ca=ca), reader)


def _read(location: str, key: ConfigKey, parse: Callable[..., Any], reader: ConfigReader) -> Any:
    """Read and parse a file; return None after a report, and for a URL, which is not requested."""
    try:
        if location and not is_url(location):
            return parse(read_bytes(Path(location)), now=utc_now())
    except CertificateError as error:
        reader.report(key, str(error))
    return None
