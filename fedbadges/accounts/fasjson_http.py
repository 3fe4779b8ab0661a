"""FASJSON through fasjson-client, which is imported only here.

It is the optional extra ``fasjson``, since installing GSSAPI needs a C compiler.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bravado.client import SwaggerClient
from bravado.swagger_model import Loader
from bravado_core.exception import SwaggerError
from fasjson_client import Client
from fasjson_client.client import RequestsClientFollowingRedirects
from fasjson_client.errors import APIError, ClientError
from fasjson_client.gss_http import GssapiAuthenticator

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.util.http import Session, error_reason

#: How large an answer may be; the largest that is asked for, the specification, has 100 KB.
_MAX_BYTES = 8 * 1024 * 1024
_NOT_FOUND = 404
#: The request itself is wrong, so that a retry would not help.
_REFUSED = (400, 414, 422)


class Service(Client):
    """FASJSON, connected; raises Unavailable when it is created and while there is no answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            super().__init__(
                settings.fasjson_url,
                principal=settings.fasjson_principal,
                auth=settings.fasjson_auth,
                bravado_config={"use_models": False, "validate_responses": False},
            )
        except Exception as error:  # anything else than a specification may fail anywhere
            raise self._unavailable(error_reason(error)) from error

    def ask(self, operation: str, **arguments: Any) -> Any:
        """Call an operation and return its result; None if FASJSON has no such object."""
        try:
            return getattr(self, operation)(**arguments).result
        except APIError as error:
            # FASJSON answers 404 in JSON; a proxy that cannot reach it does not.
            missing = error.code == _NOT_FOUND and isinstance(error.data["body"], Mapping)
            if missing or error.code in _REFUSED:
                return None
            raise self._unavailable(f"{error.code} {error_reason(error)}") from error
        # An answer that does not come from FASJSON raises the last three.
        except (OSError, ClientError, SwaggerError, ValueError, KeyError, TypeError) as error:
            raise self._unavailable(error_reason(error)) from error

    def _make_bravado_client(self) -> SwaggerClient:
        # As in the client, but with limits, also for the request of the specification.
        http = RequestsClientFollowingRedirects()
        # The specification says where queries go.
        http.session = Session(self._settings.fasjson_timeout, _MAX_BYTES, only=self._spec_url)
        if self._auth:
            host = urlsplit(self._base_url).netloc
            http.authenticator = GssapiAuthenticator(host, principal=self._principal)
        specification = Loader(http).load_spec(self._spec_url)
        _check_references(specification)
        return SwaggerClient.from_spec(specification, self._spec_url, http, self._bravado_config)

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"FASJSON at {self._settings.fasjson_url}: {why}")


def _check_references(part: Any) -> None:
    """Raise ValueError if a specification refers to others: bravado would read any file and URL."""
    if isinstance(part, Mapping):
        reference = part.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise ValueError(f"a specification that refers to {reference}")
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            _check_references(each)
