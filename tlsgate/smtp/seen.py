"""One server as it was seen: what it shows to the offer that a partner gets."""

from __future__ import annotations

from dataclasses import dataclass

from tlsgate.smtp.certificate import Certificate, read_certificate
from tlsgate.smtp.contacts import Contacts
from tlsgate.smtp.dialogue import Fault, Session
from tlsgate.smtp.offers import Offer


@dataclass(frozen=True, slots=True)
class Seen:
    """`lenient`: made only if TLS itself failed in `strict`, with the same server name."""

    host: str
    address: str
    strict: Session
    lenient: Session | None = None
    certificate: Certificate | None = None

    @property
    def place(self) -> str:
        """The server for people."""
        return f"{self.host} [{self.address}]"

    @property
    def reached(self) -> bool:
        """Whether a connection came about."""
        return self.strict.fault is not Fault.UNREACHABLE

    @property
    def shown(self) -> Session:
        """The session that got as far as TLS."""
        return self.strict if self.strict.chain or self.lenient is None else self.lenient


async def see(
    contacts: Contacts, host: str, address: str, sni: str = "", anchors: str = ""
) -> Seen:
    """Contacts the server once, and a second time if the strict offer fails in TLS.

    `anchors`: the file of a private CA, as in `Offer`.
    """
    strict = await contacts.session(address, Offer(True, sni, anchors))
    lenient = None
    if strict.fault in {Fault.UNTRUSTED, Fault.HANDSHAKE}:
        lenient = await contacts.session(address, Offer(False, sni))
    chain = strict.chain or (lenient.chain if lenient else ())
    return Seen(host, address, strict, lenient, read_certificate(chain[0]) if chain else None)
