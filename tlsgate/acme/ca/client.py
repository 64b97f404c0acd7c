"""One CA's ACME server, as the holder of one account key sees it (RFC 8555)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from acme import client, jws, messages
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from requests.adapters import BaseAdapter

from tlsgate.acme.ca.problem_documents import (
    LIBRARY_ERRORS,
    HttpAnswer,
    explain,
    header_time,
    retry_time,
)
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key
from tlsgate.clock import Clock, utc_now

CONNECT_SECONDS, ANSWER_SECONDS = 10, 30
NONCE_ATTEMPTS = 10
LONGEST_WAIT = 30.0
_NEEDED = ("newNonce", "newAccount", "newOrder")


class Network(client.ClientNetwork):
    """The library's transport; it keeps those parts of each response that the library drops."""

    def __init__(self, key: JWK, roots: Path, transport: BaseAdapter | None) -> None:
        super().__init__(
            key,
            alg=ES256,
            user_agent=f"tlsgate acme/{version('acme')}",
        )
        self.verify_ssl = str(roots)  # type: ignore[assignment]  # requests takes a bundle's path
        self.answer: HttpAnswer | None = None
        if transport is not None:
            self.session.mount("https://", transport)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.answer = None
        kwargs["timeout"] = (CONNECT_SECONDS, ANSWER_SECONDS)
        response = super()._send_request(method, url, *args, **kwargs)
        headers = response.headers
        self.answer = HttpAnswer(
            response.status_code, headers.get("Retry-After"), headers.get("Date")
        )
        return response

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Like the library's, but replaces a rejected nonce more than once."""
        for _ in range(NONCE_ATTEMPTS - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as fault:
                if fault.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)


class ReplacingOrder(messages.NewOrder):
    """An order that says which certificate it replaces (RFC 9773, section 5), by its CertID."""

    replaces: str | None = field("replaces", omitempty=True)


class _KeyChange(messages.ResourceBody):
    """A JWS as the payload of another JWS, in the flattened serialization."""

    protected: str = field("protected")
    payload: str = field("payload")
    signature: str = field("signature")


class Protocol(client.ClientV2):
    """The library's client, with requests that it lacks or offers only inside a loop of its own."""

    net: Network

    @property
    def renewal_info(self) -> str | None:
        """The URL of the CA's renewal information; None if it gives none."""
        try:
            return str(self.directory["renewalInfo"])
        except KeyError:
            return None

    def place(
        self, names: Sequence[str], profile: str | None, replaces: str | None
    ) -> tuple[str, messages.Order]:
        """A new order's URI and the order. An empty profile is left out."""
        identifiers = [
            messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names
        ]
        order = ReplacingOrder(identifiers=identifiers, profile=profile or "", replaces=replaces)
        response = self._post(self.directory["newOrder"], order)
        return response.headers["Location"], messages.Order.from_json(response.json())

    def authorizations(self, order: messages.Order) -> list[messages.AuthorizationResource]:
        """The order's authorizations in their present state."""
        return [
            self._authzr_from_response(self._post_as_get(url), uri=url)
            for url in order.authorizations
        ]

    def change_key(self, uri: str, old: JWK, new: JWK) -> None:
        """Changes the account's key (RFC 8555, section 7.3.5); `uri`: the account's."""
        url = self.directory["keyChange"]
        change = json.dumps({"account": uri, "oldKey": old.public_key().to_partial_json()})
        inner = jws.JWS.sign(change.encode(), key=new, alg=ES256, nonce=None, url=url)
        self._post(url, _KeyChange.json_loads(inner.json_dumps()))

    def order(self, uri: str) -> messages.Order:
        """An order in its present state."""
        found: messages.Order = messages.Order.from_json(self._post_as_get(uri).json())
        return found

    def download(self, url: str) -> str:
        """A certificate's chain in PEM."""
        return self._post_as_get(url).text


class AcmeServer:
    """A connection to the CA. Inside `explaining_errors` every error becomes an AcmeFault."""

    def __init__(
        self,
        directory: str,
        key: Key,
        roots: Path,
        clock: Clock = utc_now,
        transport: BaseAdapter | None = None,
    ) -> None:
        """Reads the directory. `transport`: how requests get there. Raises AcmeFault."""
        self.directory = directory
        self._key = JWKEC(key=key)
        self._clock = clock
        self.network = Network(self._key, roots, transport)
        with self.explaining_errors("reading the CA's directory"):
            values = self.network.get(directory).json()
        if not isinstance(values, dict) or not all(name in values for name in _NEEDED):
            raise AcmeFault(
                f"{directory} answers, but it is not an ACME directory (RFC 8555, section 7.1.1)",
                "Correct tlsgate:acme.directory",
            )
        self.protocol = Protocol(messages.Directory.from_json(values), self.network)
        self.clock_error = self._clock_error()
        """How far this machine's clock is ahead of the CA's; None if the CA does not say."""

    @property
    def account_key(self) -> JWK:
        """The account's key, as the library wants it."""
        return self._key

    @contextmanager
    def explaining_errors(self, doing: str) -> Iterator[None]:
        """`doing` begins the reason: what was being done when it failed."""
        try:
            yield
        except (*LIBRARY_ERRORS, KeyError) as fault:
            answer = self.network.answer
            raise explain(doing, self.directory, fault, answer, self._clock()) from fault

    def _clock_error(self) -> timedelta | None:
        answer = self.network.answer
        date = header_time(answer.date) if answer and answer.date else None
        return self._clock() - date if date else None

    def wait_seconds(self, otherwise: float) -> float:
        """How many seconds to wait before the CA is asked again, as it says itself."""
        now, when = self._clock(), self.retry_at()
        seconds = (when - now).total_seconds() if when else otherwise
        return min(max(seconds, 0.1), LONGEST_WAIT)

    def retry_at(self) -> datetime | None:
        """The time that the last answer's Retry-After names."""
        answer = self.network.answer
        return retry_time(answer.retry_after, self._clock()) if answer else None
