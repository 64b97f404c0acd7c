"""One order at a CA, from the names to the chain (RFC 8555, section 7.4).

It is placed once: after a crash, a slow CA or a lost response the same order is continued.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from acme import crypto_util, messages
from acme.errors import ConflictError, IssuanceError, TimeoutError

from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.ca.rate_limits import ACCOUNT, RateLimiter, names_subject
from tlsgate.acme.ca.renewal_info import certificate_id
from tlsgate.acme.challenges.validation import Validation
from tlsgate.acme.config.ca import Ca
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import to_pem
from tlsgate.acme.orders.open_orders import OpenOrders, PlacedOrder
from tlsgate.acme.orders.request import Request
from tlsgate.acme.process import Pause
from tlsgate.clock import Clock
from tlsgate.events import emit

FINALIZATION_SECONDS = 180.0
_REPLACEMENT_STATUS = (403, 404, 409, 500)
"""A CA that has forgotten the certificate answers with any of these."""
_REPLACEMENT_CODES = ("malformed", "alreadyReplaced")
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_PASSING_CODES = ("rateLimited", "serverInternal", "orderNotReady", "badNonce")


class Orders:
    """Orders of one account, over one connection. Every method raises AcmeFault, or Stopped."""

    def __init__(
        self,
        server: AcmeServer,
        ca: Ca,
        *,
        validation: Validation,
        limiter: RateLimiter,
        open_orders: OpenOrders,
        pause: Pause,
        clock: Clock,
        elapsed: Callable[[], float],
    ) -> None:
        self._server = server
        self._ca = ca
        self._validation = validation
        self._limiter = limiter
        self._open_orders = open_orders
        self._pause = pause
        self._clock = clock
        self._elapsed = elapsed

    def fill(self, request: Request) -> str:
        """The chain in PEM, from a new order or an earlier one."""
        placed, body = self._resumed(request) or self._placed(request)
        chain = self._filled(request, placed, body)
        self._forget(request)
        return chain

    def _filled(self, request: Request, placed: PlacedOrder, body: messages.Order) -> str:
        server = self._server
        if body.status == messages.STATUS_PENDING:
            with server.explaining_errors("asking for the order's authorizations"):
                authorizations = server.protocol.authorizations(body)
            try:
                self._validation.validate(server, authorizations)
            except AcmeFault as fault:
                # The CA's decision makes the order invalid; a lost response does not.
                if not fault.untried and (fault.__cause__ is None or self._refused(fault)):
                    self._forget(request)
                raise
        if body.status in (messages.STATUS_PENDING, messages.STATUS_READY):
            body = self._finalized(request, placed, body)
        return self._downloaded(request, placed, body)

    def _resumed(self, request: Request) -> tuple[PlacedOrder, messages.Order] | None:
        """An earlier order that can still be continued."""
        placed = self._open_orders.get(request, self._ca.profile)
        if placed is None:
            return None
        try:
            with self._server.explaining_errors("fetching the earlier order"):
                body = self._server.protocol.order(placed.uri)
        except AcmeFault as fault:
            if not self._refused(fault):
                raise
            body = None  # the CA forgot it, or it is another account's
        if body is None or body.status == messages.STATUS_INVALID:
            self._forget(request)
            return None
        emit("order", uri=placed.uri, names=list(request.names), resumed=body.status.name)
        return placed, body

    def _placed(self, request: Request) -> tuple[PlacedOrder, messages.Order]:
        for name in request.names:
            self._limiter.check("failed_authorizations", name, name)
        replaces = self._replaces(request)
        if replaces is not None:
            self._limiter.check("replacements", names_subject(request.names))
            try:
                return self._place(request, replaces)
            except AcmeFault as fault:
                if not self._about_replacing(fault):
                    raise
                next_step = "It is placed again as an ordinary order."
                names = list(request.names)
                emit("order-repeated", names=names, reason=fault.reason, next=next_step)
        self._limiter.check("duplicates", names_subject(request.names))
        return self._place(request, None)

    def _replaces(self, request: Request) -> str | None:
        """The CertID, if this CA issued the certificate: no other CA knows what is replaced."""
        served = request.replaces
        if served is None or served.meta.directory != self._ca.directory:
            return None
        return certificate_id(served.chain) if self._server.protocol.renewal_info else None

    def _about_replacing(self, fault: AcmeFault) -> bool:
        cause = fault.__cause__
        if isinstance(cause, ConflictError):
            return True
        answer = self._server.network.answer
        return isinstance(cause, messages.Error) and (
            cause.code in _REPLACEMENT_CODES
            or (answer is not None and answer.status in _REPLACEMENT_STATUS)
        )

    def _place(self, request: Request, replaces: str | None) -> tuple[PlacedOrder, messages.Order]:
        self._limiter.check("orders", ACCOUNT)
        self._limiter.count("orders", [ACCOUNT])
        with self._server.explaining_errors(
            f"ordering a certificate for {', '.join(request.names)}"
        ):
            uri, body = self._server.protocol.place(request.names, self._ca.profile, replaces)
        placed = PlacedOrder(uri, replaces is not None, self._clock())
        self._open_orders.keep(request, self._ca.profile, placed)
        emit("order", uri=uri, names=list(request.names), replaces=replaces)
        return placed, body

    def _finalized(
        self, request: Request, placed: PlacedOrder, body: messages.Order
    ) -> messages.Order:
        # Names in the SAN alone: no CN.
        csr = crypto_util.make_csr(to_pem(request.key), list(request.names))
        order = messages.OrderResource(body=body, uri=placed.uri, authorizations=[], csr_pem=csr)
        subject, kind = names_subject(request.names), _kind(placed)
        self._limiter.count(kind, [subject])
        try:
            with self._server.explaining_errors("finalizing the order"):
                finalized: messages.Order = self._server.protocol.begin_finalization(order).body
        except AcmeFault as fault:
            if self._server.network.answer is not None:
                self._limiter.uncount(kind, [subject])  # the CA answered without a certificate
            if self._refused(fault):
                self._forget(request)
            raise
        return finalized

    def _downloaded(self, request: Request, placed: PlacedOrder, body: messages.Order) -> str:
        server, wait = self._server, 0.25
        deadline = self._elapsed() + FINALIZATION_SECONDS
        while body.status != messages.STATUS_VALID:
            if body.status == messages.STATUS_INVALID:
                self._invalid(request, placed, body)
            wait = min(2 * wait, 5.0)
            self._pause(server.wait_seconds(wait))
            with server.explaining_errors("waiting for the certificate"):
                if self._elapsed() > deadline:
                    raise TimeoutError
                body = server.protocol.order(placed.uri)
        with server.explaining_errors("downloading the certificate"):
            if body.certificate is None:
                raise KeyError("certificate")
            return server.protocol.download(body.certificate)

    def _invalid(self, request: Request, placed: PlacedOrder, body: messages.Order) -> NoReturn:
        self._forget(request)
        self._limiter.uncount(_kind(placed), [names_subject(request.names)])
        doing = "finalizing the order"
        if body.error is None:
            words = f"{doing}: the CA cancelled the order without a reason"
            raise AcmeFault(words, "Try again later")
        with self._server.explaining_errors(doing):
            raise IssuanceError(body.error)

    def _refused(self, fault: AcmeFault) -> bool:
        """Whether the CA refused for good."""
        answer, cause = self._server.network.answer, fault.__cause__
        if answer is None or not _CLIENT_ERROR <= answer.status < _SERVER_ERROR:
            return False
        return not isinstance(cause, messages.Error) or cause.code not in _PASSING_CODES

    def _forget(self, request: Request) -> None:
        self._open_orders.forget(request, self._ca.profile)


def _kind(placed: PlacedOrder) -> str:
    return "replacements" if placed.replaces else "duplicates"
