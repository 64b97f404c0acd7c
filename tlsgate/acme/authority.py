"""One CA, as the holder of an account there uses it: orders, and renewal information."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acme import messages
from josepy.errors import Error as JoseError
from requests.adapters import BaseAdapter

from tlsgate.acme import ari
from tlsgate.acme.account import contact_differs
from tlsgate.acme.ca import Ca
from tlsgate.acme.connection import Connector
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.ledger import Ledger
from tlsgate.acme.limits import Limits
from tlsgate.acme.order import Orders
from tlsgate.acme.proofs import Proofs
from tlsgate.acme.request import Issued, Request
from tlsgate.acme.running import Pause
from tlsgate.acme.server import Clock, Server
from tlsgate.acme.store import Meta
from tlsgate.acme.unfinished import Unfinished
from tlsgate.acme.validation import Validation

CONNECTION_SECONDS = 600.0
REFUSED_SECONDS = 10.0
"""How long a CA that cannot be used is left alone: forty certificates need not all wait for it."""
_ACCOUNT_CODES = ("accountDoesNotExist", "unauthorized", "malformed")


@dataclass(frozen=True, slots=True)
class Means:
    """What every CA is used with. `elapsed`: seconds of a clock that nobody sets. `transport`:
    how requests get there, None for the network.
    """

    proofs: Proofs
    limits: Limits
    pause: Pause
    clock: Clock
    elapsed: Callable[[], float] = time.monotonic
    transport: BaseAdapter | None = None


class Authority:
    """Connected, and its account opened, when there is something to order."""

    def __init__(self, ca: Ca, path: Path, means: Means) -> None:
        """`path`: the directory of the account, and of what was counted and ordered there."""
        self.ca = ca
        self._path = path
        self._means = means
        self._connector = Connector(ca, path, means.clock, means.transport)
        self._connected: tuple[Server, float] | None = None
        self._refused: tuple[AcmeFault, float] | None = None
        self._ledger = Ledger(path / "ledger.json", means.limits, means.clock)
        self._unfinished = Unfinished(path / "orders.json")

    def obtain(self, request: Request) -> Issued:
        """Orders a certificate, or goes on with the order that was placed for it.

        No answer to a challenge is left in place. Raises AcmeFault, or Stopped.
        """
        self._means.proofs.clean()
        try:
            chain = self._filled(request)
        except AcmeFault as fault:
            fault.directory = self.ca.directory
            if not fault.untried:
                # What was true of the CA and of the account may be true no more.
                self._connected = None
            raise
        return Issued(chain.encode(), Meta(self.ca.directory, self.ca.profile))

    def suggestion(self, identifier: str) -> ari.Suggestion | None:
        """When the CA would like the certificate of this CertID to be renewed (RFC 9773).

        None if it does not say such things at all. Needs no account. Raises AcmeFault.
        """
        server = self._reached(self._connector.plain, keep=False)
        base = server.protocol.renewal_info
        if base is None:
            return None
        doing = "asking for renewal information"
        with server.told(doing):
            values = server.network.get(f"{base.rstrip('/')}/{identifier}").json()
        try:
            found = messages.RenewalInfo.from_json(values).suggested_window
            window = ari.window(found.start, found.end, _url(values))
        except (JoseError, ari.WindowFault, AttributeError) as fault:
            raise AcmeFault(
                f"{doing}: the CA's answer is malformed: {fault}",
                "Nothing to do: the certificate is renewed in time without it",
                server.retry_at(),
            ) from fault
        return ari.Suggestion(window, server.retry_at())

    def tend(self) -> None:
        """Tells the CA of a contact that has changed. Raises AcmeFault."""
        if contact_differs(self._path, self.ca.contact):
            self._connected = None
            self._reached(self._connector.open, keep=True)

    def _filled(self, request: Request) -> str:
        reused = self._connected is not None
        try:
            return self._orders().fill(request)
        except AcmeFault as fault:
            cause = fault.__cause__
            known = isinstance(cause, messages.Error) and cause.code in _ACCOUNT_CODES
            if not (reused and known):
                raise
        # The account may be another one since the connection was made, or have another key.
        self._connected = None
        return self._orders().fill(request)

    def _orders(self) -> Orders:
        means = self._means
        return Orders(
            self._reached(self._connector.open, keep=True),
            self.ca,
            validation=Validation(means.proofs, self._ledger, means.pause, means.elapsed),
            ledger=self._ledger,
            unfinished=self._unfinished,
            pause=means.pause,
            clock=means.clock,
            elapsed=means.elapsed,
        )

    def _reached(self, connect: Callable[[], Server], *, keep: bool) -> Server:
        """One connection serves the certificates of one look; the agent lives for months."""
        now = self._means.elapsed()
        if self._connected is not None:
            server, until = self._connected
            if now < until:
                return server
        if self._refused is not None and now < self._refused[1]:
            raise self._refused[0]
        try:
            server = connect()
        except AcmeFault as fault:
            self._refused = fault, self._means.elapsed() + REFUSED_SECONDS
            raise
        if keep:
            self._connected = server, self._means.elapsed() + CONNECTION_SECONDS
        return server


def _url(values: object) -> str | None:
    found = values.get("explanationURL") if isinstance(values, dict) else None
    return found if isinstance(found, str) and found.startswith("https://") else None
