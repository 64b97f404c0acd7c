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
from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.ca.rate_limits import RateLimiter
from tlsgate.acme.ca.renewal_info import Suggestion, suggestion
from tlsgate.acme.ca.revocation import revoke
from tlsgate.acme.certificate import Meta
from tlsgate.acme.challenges.responses import ChallengeResponses
from tlsgate.acme.challenges.validation import Validation
from tlsgate.acme.config.agent_json import Config
from tlsgate.acme.config.ca import Ca
from tlsgate.acme.config.limits import Limits
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration
from tlsgate.acme.orders.open_orders import OpenOrders
from tlsgate.acme.orders.order import Orders
from tlsgate.acme.orders.request import Issued, Request
from tlsgate.acme.process import Pause
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.events import emit

CONNECTION_SECONDS = 600.0
REFUSED_SECONDS = 10.0
"""A CA that failed is not tried again so soon: forty certificates need not all wait for it."""
_CONTACT_RETRY = timedelta(hours=6)
_ACCOUNT_CODES = ("accountDoesNotExist", "unauthorized", "malformed")


@dataclass(frozen=True, slots=True)
class CaContext:
    """What is the same for every CA. `elapsed`: seconds of a monotonic clock. `transport`:
    how requests get there, None for the network.
    """

    responses: ChallengeResponses
    limits: Limits
    pause: Pause
    clock: Clock
    elapsed: Callable[[], float] = time.monotonic
    transport: BaseAdapter | None = None


class CertificateAuthority:
    """Connected, and its account opened, when there is something to order."""

    def __init__(self, ca: Ca, path: Path, context: CaContext) -> None:
        """`path`: the directory of the account, and of what was counted and ordered there."""
        self.ca = ca
        self._path = path
        self._context = context
        self._connector = Connector(ca, path, context.clock, context.transport)
        self._connected: tuple[AcmeServer, float] | None = None
        self._refused: tuple[AcmeFault, float] | None = None
        self._limiter = RateLimiter(path / "ledger.json", context.limits, context.clock)
        self._open_orders = OpenOrders(path / "orders.json")

    def obtain(self, request: Request) -> Issued:
        """Orders a certificate, or continues an earlier order for it.

        No answer to a challenge is left in place. Raises AcmeFault, or Stopped.
        """
        self._context.responses.clean()
        try:
            chain = self._filled(request)
        except AcmeFault as fault:
            fault.directory = self.ca.directory
            if not fault.untried:
                # The CA or the account may have changed since the connection was made.
                self._connected = None
            raise
        return Issued(chain.encode(), Meta(self.ca.directory, self.ca.profile))

    def suggestion(self, identifier: str) -> Suggestion | None:
        """When the CA suggests to renew the certificate of this CertID (RFC 9773).

        None if it gives no renewal information. Needs no account. Raises AcmeFault.
        """
        return suggestion(self._reached(self._connector.plain, keep=False), identifier)

    def update_contact(self) -> None:
        """Sends a changed contact to the CA. Raises AcmeFault."""
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
        context = self._context
        return Orders(
            self._reached(self._connector.open, keep=True),
            self.ca,
            validation=Validation(context.responses, self._limiter, context.pause, context.elapsed),
            limiter=self._limiter,
            open_orders=self._open_orders,
            pause=context.pause,
            clock=context.clock,
            elapsed=context.elapsed,
        )

    def _reached(self, connect: Callable[[], AcmeServer], *, keep: bool) -> AcmeServer:
        """Reuses a connection for the certificates of one look, but not for months."""
        now = self._context.elapsed()
        if self._connected is not None:
            server, until = self._connected
            if now < until:
                return server
        if self._refused is not None and now < self._refused[1]:
            raise self._refused[0]
        try:
            server = connect()
        except AcmeFault as fault:
            self._refused = fault, self._context.elapsed() + REFUSED_SECONDS
            raise
        if keep:
            self._connected = server, self._context.elapsed() + CONNECTION_SECONDS
        return server


class CertificateAuthorities:
    """The first CA and the fallback."""

    def __init__(self, config: Config, paths: Paths, context: CaContext) -> None:
        self._config = config
        self._context = context
        self._authorities = {
            ca.directory: CertificateAuthority(ca, paths.account(ca.directory), context)
            for ca in config.cas
        }
        self._contacts_checked = {
            directory: context.clock() - _CONTACT_RETRY for directory in self._authorities
        }

    def obtain(self, directory: str, request: Request) -> Issued:
        """Orders at this CA. Raises AcmeFault, or Stopped."""
        return self._authorities[directory].obtain(request)

    def suggestion(self, directory: str, identifier: str) -> Suggestion | None:
        """Renewal information of the CA that issued; None if it is no longer configured.

        Raises AcmeFault.
        """
        authority = self._authorities.get(directory)
        return authority.suggestion(identifier) if authority else None

    def update_contacts(self) -> None:
        """Keeps the accounts' contacts as configured; a failure is reported and retried later."""
        now = self._context.clock()
        for directory, authority in self._authorities.items():
            if now - self._contacts_checked[directory] < _CONTACT_RETRY:
                continue
            try:
                authority.update_contact()
            except AcmeFault as fault:
                self._contacts_checked[directory] = now
                emit(
                    "alert",
                    what=f"the contact of the account at {directory} could not be changed",
                    reason=fault.reason,
                    next=f"Tried again in {_CONTACT_RETRY}; certificates are not affected.",
                )

    def revoke(self, generation: CertificateGeneration) -> None:
        """Revokes its certificate at the CA that issued it. Raises AcmeFault or KeyFault."""
        revoke(self._config, generation)
