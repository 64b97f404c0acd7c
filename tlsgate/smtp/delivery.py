"""What the gateway's Postfix would do with a message now: the deliveries it would try, in order.

It goes to the MX hosts by preference and to each one's addresses until one takes the mail. At its
default level `dane` a host with usable TLSA records must match them, one whose records cannot be
looked up is passed over, one with records that SMTP cannot use must offer TLS, and any other gets
TLS if it has it and plaintext if it has not (TLS_README).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tlsgate.dns.mail_route import Dane, MxHost, NoRoute, Route
from tlsgate.smtp.dialogue import Fault
from tlsgate.smtp.offers import Offer
from tlsgate.smtp.reasons import (
    Reason,
    dane_fault,
    no_tls_fault,
    pin_fault,
    pkix_fault,
    transport_fault,
)
from tlsgate.smtp.requirement import Level, Requirement, Terms, allows_host
from tlsgate.smtp.server_contact import contact_server
from tlsgate.smtp.sessions import SessionPool

ADDRESSES_TRIED = 5
"""Postfix's smtp_mx_address_limit."""
NO_ADDRESS = "address"
"""The code of a host without an address, which is not tried."""
_SERVES_CLEAR = frozenset({Fault.NO_STARTTLS, Fault.STARTTLS_REFUSED, Fault.HANDSHAKE})


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try. `reason`: why the mail is not taken there, None if it is.

    `version`: of TLS, empty for plaintext.
    """

    place: str
    reason: Reason | None = None
    version: str = ""


def final_word(route: Route, made: Sequence[DeliveryAttempt]) -> str:
    """On whose word mail to a domain that is not on the list is returned at once; "" if it waits.

    DNS says that there is no server, or the last server tried rejects us permanently before it
    was verified. Mail to a partner waits in either case (D19).
    """
    if route.missing is not None:
        return "" if route.missing is NoRoute.LOOKUP else "DNS alone"
    if all(not host.addresses and host.dane is not Dane.FAILED for host in route.hosts):
        return "DNS alone"
    met = [one.reason.code for one in made if one.reason and one.reason.code != NO_ADDRESS]
    return "a server that has not proved itself" if met[-1:] == [Fault.REJECTED] else ""


@dataclass(frozen=True, slots=True)
class SimulatedDelivery:
    """The delivery of a message to `route` under `requirement`, up to where a server stops it."""

    route: Route
    requirement: Requirement
    sessions: SessionPool
    now: datetime

    async def attempts(self) -> list[DeliveryAttempt]:
        """The tries up to and with the first that succeeds; empty if there is no server."""
        made: list[DeliveryAttempt] = []
        left = ADDRESSES_TRIED
        for host in self.route.hosts:
            passed_over = self._passed_over(host)
            if passed_over is not None:
                made.append(DeliveryAttempt(host.name, passed_over))
                continue
            for address in host.addresses[:left]:
                left -= 1
                made.append(await self._attempt(host, address))
                if made[-1].reason is None:
                    return made
        return made

    def _passed_over(self, host: MxHost) -> Reason | None:
        """Why Postfix does not even connect to the host."""
        if host.fault:
            return Reason(NO_ADDRESS, host.fault, "")
        if not allows_host(self.requirement.mx_patterns, host.name):
            text = f"the MTA-STS policy does not allow the mail server {host.name}"
            return Reason("mta-sts-mx", text, "")
        level = self.requirement.level
        if level not in {Level.DANE, Level.DANE_ONLY}:
            return None
        if host.dane is Dane.FAILED:
            text = f"the TLSA records of {host.name} cannot be looked up"
            return Reason("tlsa-records", text, "")
        if level is Level.DANE_ONLY and host.dane is not Dane.USABLE:
            unsigned = "" if self.route.secure and host.secure else " that DNSSEC signs"
            return Reason("tlsa-records", f"{host.name} has no usable TLSA record{unsigned}", "")
        return None

    async def _attempt(self, host: MxHost, address: str) -> DeliveryAttempt:
        place = f"{host.name} [{address}]"
        level = self.requirement.level
        if level in {Level.SECURE, Level.FINGERPRINT, Level.ENCRYPT}:
            return await self._demanded(host, address)
        if host.dane is Dane.USABLE and level is not Level.MAY:
            offer = Offer(self.requirement.terms, host.tlsa_base, verified=True)
            contact = await contact_server(self.sessions, host.name, address, offer)
            names = (host.tlsa_base, host.name, self.route.domain)
            reason = dane_fault(contact, host.tlsa, names, self.now)
            return DeliveryAttempt(place, reason, contact.shown.version)
        session = await self.sessions.session(address, Offer(Terms.ANY, self._sni(host)))
        if session.fault in _SERVES_CLEAR and (host.dane is Dane.NONE or level is Level.MAY):
            return DeliveryAttempt(place)
        return DeliveryAttempt(place, no_tls_fault(place, session), session.version)

    async def _demanded(self, host: MxHost, address: str) -> DeliveryAttempt:
        requirement = self.requirement
        offer = Offer(requirement.terms, self._sni(host), True, requirement.anchors)
        contact = await contact_server(self.sessions, host.name, address, offer)
        if requirement.level is Level.SECURE:
            reason = pkix_fault(contact, requirement.match, self.now)
        elif requirement.level is Level.ENCRYPT:
            reason = transport_fault(contact)
        else:
            reason = pin_fault(contact, requirement.match)
        return DeliveryAttempt(contact.place, reason, contact.shown.version)

    def _sni(self, host: MxHost) -> str:
        return host.name if self.requirement.sends_host_name else ""
