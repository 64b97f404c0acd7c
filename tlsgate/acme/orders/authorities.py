"""The CAs of the configuration, and what is asked of each of them: orders first of all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from acme import messages
from requests.adapters import BaseAdapter

from tlsgate.acme.ca.account import Connector, contact_differs
from tlsgate.acme.ca.client import Clock, Server
from tlsgate.acme.ca.rate_limits import Ledger
from tlsgate.acme.ca.renewal_info import Suggestion, suggestion
from tlsgate.acme.ca.revocation import revoke
from tlsgate.acme.certificate import Meta
from tlsgate.acme.challenges.responses import Proofs
from tlsgate.acme.challenges.validation import Validation
from tlsgate.acme.config.agent_json import Config
from tlsgate.acme.config.ca import Ca
from tlsgate.acme.config.limits import Limits
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import Generation
from tlsgate.acme.orders.open_orders import Unfinished
from tlsgate.acme.orders.order import Orders
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.process import Pause
from tlsgate.acme.state.paths import Paths
from tlsgate.events import emit

CONNECTION_SECONDS = 600.0
REFUSED_SECONDS = 10.0
"""How long a CA that cannot be used is left alone: forty certificates need not all wait for it."""
_TEND_AGAIN = timedelta(hours=6)
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

    def suggestion(self, identifier: str) -> Suggestion | None:
        """When the CA would like the certificate of this CertID to be renewed (RFC 9773).

        None if it does not say such things at all. Needs no account. Raises AcmeFault.
        """
        return suggestion(self._reached(self._connector.plain, keep=False), identifier)

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


class Authorities:
    """The first CA, and the one that stands in for it."""

    def __init__(self, config: Config, paths: Paths, means: Means) -> None:
        self._config = config
        self._means = means
        self._authorities = {
            ca.directory: Authority(ca, paths.account(ca.directory), means) for ca in config.cas
        }
        self._tended = {directory: means.clock() - _TEND_AGAIN for directory in self._authorities}

    def obtain(self, directory: str, request: Request) -> Issued:
        """Orders at this CA. Raises AcmeFault, or Stopped."""
        return self._authorities[directory].obtain(request)

    def suggestion(self, directory: str, identifier: str) -> Suggestion | None:
        """Renewal information of the CA that issued; None from one that is configured no more.

        Raises AcmeFault.
        """
        authority = self._authorities.get(directory)
        return authority.suggestion(identifier) if authority else None

    def tend(self) -> None:
        """Keeps the accounts as configured; what fails is said, and tried again later."""
        now = self._means.clock()
        for directory, authority in self._authorities.items():
            if now - self._tended[directory] < _TEND_AGAIN:
                continue
            try:
                authority.tend()
            except AcmeFault as fault:
                self._tended[directory] = now
                emit(
                    "alert",
                    what=f"the contact of the account at {directory} could not be changed",
                    reason=fault.reason,
                    next=f"Tried again in {_TEND_AGAIN}; certificates are not affected.",
                )

    def revoke(self, generation: Generation) -> None:
        """Revokes its certificate at the CA that issued it. Raises AcmeFault or KeyFault."""
        revoke(self._config, generation)
