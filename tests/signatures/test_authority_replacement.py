"""Which certificates and lists replace those that are known, and what is said of the others."""

import datetime
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from support.certificates import DAY, NOW, authority, replaced

from fedbadges.errors import Unavailable
from fedbadges.signatures.authority import Authority, CertificateError
from fedbadges.signatures.authority_cache import AuthorityCache, make_source
from fedbadges.signatures.files import MAX_BYTES
from fedbadges.signatures.options import mistakes
from fedbadges.signatures.verifier import make_verifier
from fedbadges.util.throttle import PERIOD

OLDER = "a revocation list that is older than the previous one"


class Site:
    """The files of a CA, and what the daemon knows of them."""

    def __init__(self, directory: Path, crl: bytes | None = None) -> None:
        self.ca = authority(end=NOW + 20 * DAY)
        self.app = self.ca.issue("app01")
        self.ca_file, self.crl_file = directory / "ca.crt", directory / "crl.pem"
        self.ca_file.write_bytes(self.ca.pem)
        self.crl_file.write_bytes(crl or self.ca.revoking(self.app, number=5))
        self.now = NOW
        sources = [make_source(str(file), 0) for file in (self.ca_file, self.crl_file)]
        self._cache = AuthorityCache(sources, lambda: self.now)

    def put(self, crl: bytes, ca: bytes | None = None) -> Authority:
        """Replace files, and return what is in force with them."""
        if ca is not None:
            replaced(self.ca_file, ca)
        replaced(self.crl_file, crl)
        return self._cache.authority()

    @property
    def authority(self) -> Authority:
        return self._cache.authority()

    def revokes(self) -> bool:
        """Return True if the certificate of app01 counts as revoked."""
        revoked = self.authority.revoked
        assert revoked is not None
        serial = self.app.certificate.serial_number
        return revoked.get_revoked_certificate_by_serial_number(serial) is not None


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


def errors(log: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in log.records if each.levelname == "ERROR"]


# Older lists


@pytest.mark.parametrize(
    "older",
    [
        {"begin": NOW - 2 * DAY},
        {"begin": NOW - 2 * DAY, "number": 6},
        {"begin": NOW - DAY / 2, "number": 4},
        {"begin": NOW - DAY, "number": 4},
    ],
    ids=["by its time", "with a higher number", "by its number", "of the same time"],
)
def test_an_older_revocation_list_does_not_replace_a_newer_one(
    site: Site, older: dict[str, Any], log: pytest.LogCaptureFixture
) -> None:
    site.put(site.ca.revoking(**older))

    assert site.revokes()
    (line,) = errors(log)
    assert line.startswith("Could not refresh the CA, keeping the previous one error=")
    assert OLDER in line


@pytest.mark.parametrize(
    "newer",
    [
        {"begin": NOW - DAY / 2, "number": 6},
        {"begin": NOW - DAY / 2},
        {"begin": NOW - DAY, "number": 5},
    ],
    ids=["newer", "without a number", "made at the same time"],
)
def test_a_newer_revocation_list_replaces_an_older_one(
    site: Site, newer: dict[str, Any], log: pytest.LogCaptureFixture
) -> None:
    site.put(site.ca.revoking(**newer))

    assert not site.revokes()
    assert not errors(log)


def test_an_older_list_of_a_ca_with_a_renewed_certificate_is_refused(site: Site) -> None:
    renewed = authority(begin=NOW - DAY / 2, end=NOW + 30 * DAY)

    site.put(site.ca.revoking(number=4), renewed.pem)

    assert site.revokes()


def test_another_ca_may_have_an_older_list(site: Site) -> None:
    other = authority(key_number=2)

    site.put(other.revoking(begin=NOW - 3 * DAY, number=1), other.pem)

    assert site.authority.certificate == other.certificate


def test_a_list_of_changes_is_refused(site: Site, log: pytest.LogCaptureFixture) -> None:
    """Whoever is in the whole list only would be trusted again."""
    site.put(site.ca.revoking(begin=NOW - DAY / 2, number=6, delta=True))

    assert site.revokes()
    assert "a revocation list that has only changes" in errors(log)[0]


# A CA that did not sign itself


def pretender() -> bytes:
    return authority(begin=NOW - DAY / 2, signed_by=2).pem


def test_a_certificate_that_did_not_sign_itself_does_not_replace_the_ca(
    site: Site, log: pytest.LogCaptureFixture
) -> None:
    replaced(site.ca_file, pretender())

    assert site.authority.certificate == site.ca.certificate
    assert "a certificate that it did not sign itself" in errors(log)[0]


def test_a_ca_that_did_not_sign_itself_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(pretender())
    config = {"validate_signatures": True, "ca_cert_location": str(file)}

    (line,) = mistakes(config)

    assert "a certificate that it did not sign itself" in line
    with pytest.raises(Unavailable, match="a certificate that it did not sign itself"):
        make_verifier(config)


# Files of any size


@pytest.mark.parametrize("name", ["ca.crt", "crl.pem"])
def test_a_file_of_100_megabytes_is_refused_and_not_read_again(
    site: Site,
    tmp_path: Path,
    name: str,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = site.authority
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    large.replace(tmp_path / name)

    assert site.authority is known

    with monkeypatch.context() as patch:
        patch.setattr("fedbadges.signatures.authority_cache.read_bytes", None)
        assert site.authority is known
    assert f"{name}: more than {MAX_BYTES} bytes" in errors(log)[0]
    key = {"ca.crt": "ca_cert_location", "crl.pem": "crl_location"}[name]
    config = {"ca_cert_location": str(site.ca_file), "crl_location": str(site.crl_file)}
    (line,) = mistakes({"validate_signatures": True} | config)
    assert key in line
    assert "more than" in line


def test_what_is_endless_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(CertificateError, match=f"{path}: not a regular file"):
            make_source(path, 0).refresh()


# What is logged


def test_each_new_reason_for_a_failure_is_one_line_and_so_is_its_end(
    site: Site, log: pytest.LogCaptureFixture
) -> None:
    for crl in (b"nothing", b"nothing at all", site.ca.revoking(begin=NOW - 3 * DAY)):
        site.put(crl)
        assert site.revokes()
    first, second = errors(log)
    assert "no revocation list in PEM" in first
    assert OLDER in second

    site.put(site.ca.revoking(begin=NOW - DAY / 2))

    lines = [each.getMessage() for each in log.records if each.levelname == "INFO"]
    assert lines == ["Refreshed the CA"]


def test_failures_that_alternate_do_not_fill_the_log(
    site: Site, log: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        old = site.ca.revoking(begin=NOW - (3 + number) * DAY)
        site.put(old if number % 2 else b"nothing")

    assert len(errors(log)) == 2
    assert PERIOD == 600


def test_a_list_that_was_not_valid_yet_is_in_force_when_it_is(site: Site) -> None:
    """The clocks of the CA and of this machine may differ."""
    site.put(site.ca.revoking(begin=NOW + DAY, end=NOW + 9 * DAY, number=6))
    assert site.revokes()

    site.now = NOW + 6 * DAY  # the list before has expired

    assert not site.revokes()


def test_a_ca_may_renew_its_certificate_and_keep_its_list(site: Site) -> None:
    renewed = authority(begin=NOW - DAY / 2, end=NOW + datetime.timedelta(days=30))
    replaced(site.ca_file, renewed.pem)

    assert site.authority.certificate == renewed.certificate
    assert site.revokes()
