"""One CA's ACME server, as the holder of one account key sees it (RFC 8555)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from acme import client, jws, messages
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from requests.adapters import BaseAdapter

from tlsgate.acme.ca.problem_documents import KNOWN, Answer, explain, header_time, retry_time
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key

Clock = Callable[[], datetime]
CONNECT_SECONDS, ANSWER_SECONDS = 10, 30
NONCE_ATTEMPTS = 10
LONGEST_WAIT = 30.0
_NEEDED = ("newNonce", "newAccount", "newOrder")


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Network(client.ClientNetwork):
    """The library's transport; it keeps of each answer what the library drops."""

    def __init__(self, key: JWK, roots: Path, transport: BaseAdapter | None) -> None:
        super().__init__(
            key,
            alg=ES256,
            user_agent=f"tlsgate acme/{version('acme')}",
        )
        self.verify_ssl = str(roots)  # type: ignore[assignment]  # requests takes a bundle's path
        self.answer: Answer | None = None
        if transport is not None:
            self.session.mount("https://", transport)

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.answer = None
        kwargs["timeout"] = (CONNECT_SECONDS, ANSWER_SECONDS)
        response = super()._send_request(method, url, *args, **kwargs)
        headers = response.headers
        self.answer = Answer(response.status_code, headers.get("Retry-After"), headers.get("Date"))
        return response

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library's, but a refused nonce is replaced more than once."""
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
    """A JWS as the content of another one: the flattened serialization."""

    protected: str = field("protected")
    payload: str = field("payload")
    signature: str = field("signature")


class Protocol(client.ClientV2):
    """The library's client, with what it has only inside a loop of its own, or not at all."""

    net: Network

    @property
    def renewal_info(self) -> str | None:
        """Where the CA tells when to renew; None if it does not."""
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
        asked = ReplacingOrder(identifiers=identifiers, profile=profile or "", replaces=replaces)
        response = self._post(self.directory["newOrder"], asked)
        return response.headers["Location"], messages.Order.from_json(response.json())

    def authorizations(self, order: messages.Order) -> list[messages.AuthorizationResource]:
        """The order's authorizations as they stand."""
        return [
            self._authzr_from_response(self._post_as_get(url), uri=url)
            for url in order.authorizations
        ]

    def change_key(self, uri: str, old: JWK, new: JWK) -> None:
        """Makes another key the account's (RFC 8555, section 7.3.5); `uri`: the account's."""
        url = self.directory["keyChange"]
        change = json.dumps({"account": uri, "oldKey": old.public_key().to_partial_json()})
        inner = jws.JWS.sign(change.encode(), key=new, alg=ES256, nonce=None, url=url)
        self._post(url, _KeyChange.json_loads(inner.json_dumps()))

    def order(self, uri: str) -> messages.Order:
        """An order as it stands."""
        found: messages.Order = messages.Order.from_json(self._post_as_get(uri).json())
        return found

    def download(self, url: str) -> str:
        """A certificate's chain in PEM."""
        return self._post_as_get(url).text


class Server:
    """A connection to the CA. Whatever goes wrong inside `told` becomes an AcmeFault."""

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
        with self.told("reading the CA's directory"):
            values = self.network.get(directory).json()
        if not isinstance(values, dict) or not all(name in values for name in _NEEDED):
            raise AcmeFault(
                f"{directory} answers, but it is not an ACME directory (RFC 8555, section 7.1.1)",
                "Mend tlsgate:acme.directory",
            )
        self.protocol = Protocol(messages.Directory.from_json(values), self.network)
        self.clock_error = self._clock_error()
        """How far this machine's clock is ahead of the CA's; None if the CA does not say."""

    @property
    def account_key(self) -> JWK:
        """The account's key, as the library wants it."""
        return self._key

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """`doing` begins the reason: what was being done when it failed."""
        try:
            yield
        except (*KNOWN, KeyError) as fault:
            answer = self.network.answer
            raise explain(doing, self.directory, fault, answer, self._clock()) from fault

    def _clock_error(self) -> timedelta | None:
        answer = self.network.answer
        date = header_time(answer.date) if answer and answer.date else None
        return self._clock() - date if date else None

    def wait_seconds(self, otherwise: float) -> float:
        """How long the CA wants to be left alone before it is asked again."""
        now, when = self._clock(), self.retry_at()
        seconds = (when - now).total_seconds() if when else otherwise
        return min(max(seconds, 0.1), LONGEST_WAIT)

    def retry_at(self) -> datetime | None:
        """The time that the last answer's Retry-After names."""
        answer = self.network.answer
        return retry_time(answer.retry_after, self._clock()) if answer else None
