"""One CA's ACME server, as the holder of one account key sees it (RFC 8555)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from acme import client, messages
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from tlsgate.acme.faults import KNOWN, AcmeFault, Answer, explain, retry_time
from tlsgate.acme.keys import Key

CONNECT_SECONDS, ANSWER_SECONDS = 10, 30
NONCE_ATTEMPTS = 10
LONGEST_WAIT = 30.0
_NEEDED = ("newNonce", "newAccount", "newOrder")


class Network(client.ClientNetwork):
    """The library's transport; it keeps of each answer what the library drops."""

    def __init__(self, key: JWK, roots: Path) -> None:
        super().__init__(
            key,
            alg=ES256,
            user_agent=f"tlsgate acme/{version('acme')}",
        )
        self.verify_ssl = str(roots)  # type: ignore[assignment]  # requests takes a bundle's path
        self.answer: Answer | None = None

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.answer = None
        kwargs["timeout"] = (CONNECT_SECONDS, ANSWER_SECONDS)
        response = super()._send_request(method, url, *args, **kwargs)
        self.answer = Answer(response.status_code, response.headers.get("Retry-After"))
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


class Protocol(client.ClientV2):
    """The library's client, with the two calls that it has only inside a loop of its own."""

    net: Network

    def order(self, uri: str) -> messages.Order:
        """An order as it stands."""
        found: messages.Order = messages.Order.from_json(self._post_as_get(uri).json())
        return found

    def download(self, url: str) -> str:
        """A certificate's chain in PEM."""
        return self._post_as_get(url).text


class Server:
    """A connection to the CA. Whatever goes wrong inside `told` becomes an AcmeFault."""

    def __init__(self, directory: str, key: Key, roots: Path) -> None:
        """Reads the directory. Raises AcmeFault."""
        self.directory = directory
        self._key = JWKEC(key=key)
        self.network = Network(self._key, roots)
        with self.told("reading the CA's directory"):
            values = self.network.get(directory).json()
        if not isinstance(values, dict) or not all(name in values for name in _NEEDED):
            raise AcmeFault(
                f"{directory} answers, but it is not an ACME directory (RFC 8555, section 7.1.1)",
                "Mend tlsgate:acme.directory",
            )
        self.protocol = Protocol(messages.Directory.from_json(values), self.network)

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
            raise explain(doing, self.directory, fault, self.network.answer) from fault

    def wait_seconds(self, otherwise: float) -> float:
        """How long the CA wants to be left alone before it is asked again."""
        answer, now = self.network.answer, datetime.now(UTC)
        when = retry_time(answer.retry_after, now) if answer else None
        seconds = (when - now).total_seconds() if when else otherwise
        return min(max(seconds, 0.1), LONGEST_WAIT)
