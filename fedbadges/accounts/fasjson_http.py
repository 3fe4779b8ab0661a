"""FASJSON through fasjson-client, which is imported only here.

It is the optional extra ``fasjson``, since installing GSSAPI needs a C compiler.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
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
#: How many accounts are asked for at once, and how often: no group has so many members.
_PAGE_SIZE, _MAX_PAGES = 1000, 100
_NOT_FOUND = 404
#: The request itself is wrong, so that a retry would not help.
_REFUSED = (400, 414, 422)

T = TypeVar("T")


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
        return self._call(operation, lambda answer: answer.result, arguments)

    def ask_pages(self, operation: str, **arguments: Any) -> list[str] | None:
        """Call an operation that lists accounts, page by page, and return their names.

        Returns None if FASJSON has no such object. Not every list of FASJSON has pages.
        """
        names: list[str] = []
        for number in range(1, _MAX_PAGES + 1):
            page = {"page_size": _PAGE_SIZE, "page_number": number}
            found = self._call(operation, _names_and_more, arguments, page)
            if found is None:
                return None
            names += found[0]
            if not found[1]:
                return names
        raise self._unavailable(f"more than {_MAX_PAGES} pages of {operation}")

    def _call(
        self,
        operation: str,
        read: Callable[[Any], T],
        arguments: Mapping[str, Any],
        optional: Mapping[str, Any] = MappingProxyType({}),
    ) -> T | None:
        """Call an operation, with the ``optional`` arguments that it knows, and read its answer."""
        try:
            call = getattr(self, operation)
            known = {name: optional[name] for name in optional if name in call.operation.params}
            return read(call(**arguments, **known))
        except APIError as error:
            # FASJSON answers 404 in JSON; a proxy that cannot reach it does not.
            missing = error.code == _NOT_FOUND and isinstance(error.data["body"], Mapping)
            if missing or error.code in _REFUSED:
                return None
            raise self._unavailable(f"{error.code} {error_reason(error)}") from error
        # An answer that does not come from FASJSON raises the last four.
        except (
            OSError,
            ClientError,
            SwaggerError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
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


def _names_and_more(answer: Any) -> tuple[list[str], bool]:
    """Return the names on a page, and whether there is another page."""
    names = [account["username"] for account in answer.result]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("names that are no text")
    return names, bool(answer.page and answer.page.get("next_page"))


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
