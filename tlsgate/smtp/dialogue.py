"""The SMTP dialogue up to TLS and no further (RFC 5321, RFC 3207): no message is ever sent.

Own code rather than aiosmtplib or smtplib, for three things those do not give: a bound on every
byte that a hostile server may send, the refusal of bytes that follow the answer to STARTTLS in the
clear (CVE-2011-0411), and the certificate chain of a handshake whose verification failed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from tlsgate.problems import visible
from tlsgate.smtp.wire import Broken, Wire

_SHOWN = 160


class Fault(StrEnum):
    """What kept a session from its end. The value is stable: it is part of `--json`."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    CLOSED = "closed"
    PROTOCOL = "protocol"
    REFUSED = "refused"
    REJECTED = "rejected"
    """For good (5xx), to EHLO and to HELO."""
    NO_STARTTLS = "no-starttls"
    STARTTLS_REFUSED = "starttls-refused"
    INJECTED = "injected"
    HANDSHAKE = "handshake"
    UNTRUSTED = "untrusted"
    AFTER_TLS = "after-tls"


@dataclass(frozen=True, slots=True)
class Limits:
    """`helo`: the name to greet with, empty for the own address. Times in seconds."""

    port: int = 25
    helo: str = ""
    connect_seconds: float = 10.0
    session_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Session:
    """What one connection showed. `fault` is None if it went to its end.

    `detail`: the server's or OpenSSL's own words, printable. `code`: OpenSSL's X509_V_ERR_*, 0 if
    it has none. `chain`: the certificates as sent, the leaf first, in DER; empty without TLS, and
    where OpenSSL refused them.
    """

    fault: Fault | None = None
    detail: str = ""
    code: int = 0
    version: str = ""
    cipher: str = ""
    chain: tuple[bytes, ...] = ()


class _Failed(Exception):
    def __init__(self, fault: Fault, detail: str, code: int = 0) -> None:
        super().__init__(detail)
        self.fault, self.detail, self.code = fault, detail, code


async def talk(address: str, context: ssl.SSLContext, sni: str, limits: Limits) -> Session:
    """One session with a server; `sni` is empty for none. Never raises for what the server does."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        connection = socket.socket(kind, socket.SOCK_STREAM)
    except OSError as fault:  # this machine has no IPv6
        return Session(Fault.UNREACHABLE, _words(fault))
    with connection:
        connection.setblocking(False)
        dialogue = _Dialogue(Wire(connection), limits)
        try:
            async with asyncio.timeout(limits.session_seconds):
                await _connect(connection, address, limits)
                await dialogue.greet()
                return await dialogue.secure(context, sni)
        except _Failed as failed:
            return Session(failed.fault, _plain(failed.detail), failed.code)
        except Broken as broken:
            return Session(Fault.CLOSED if broken.closed else Fault.PROTOCOL, broken.detail)
        except TimeoutError:
            detail = f"{dialogue.stage} not finished within {limits.session_seconds:g} s"
            return Session(Fault.SLOW, detail)
        except OSError as fault:
            return Session(Fault.CLOSED, _words(fault))


async def _connect(connection: socket.socket, address: str, limits: Limits) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.connect_seconds):
            await loop.sock_connect(connection, (address, limits.port))
    except TimeoutError:
        detail = f"no answer within {limits.connect_seconds:g} s"
        raise _Failed(Fault.UNREACHABLE, detail) from None
    except OSError as fault:
        raise _Failed(Fault.UNREACHABLE, _words(fault)) from fault


class _Dialogue:
    """What is said, and how far it came."""

    def __init__(self, wire: Wire, limits: Limits) -> None:
        self.stage = "connection"
        self._wire = wire
        self._helo = limits.helo

    async def greet(self) -> None:
        """Up to the server's consent to STARTTLS."""
        self.stage = "greeting"
        code, lines = await self._wire.reply()
        if code != 220:
            raise _Failed(Fault.REFUSED, f"{code} {lines[0]}")
        self.stage = "EHLO"
        keywords = await self._hello()
        if "STARTTLS" not in keywords:
            raise _Failed(Fault.NO_STARTTLS, "STARTTLS is not among the extensions offered")
        self.stage = "STARTTLS"
        await self._wire.send(b"STARTTLS\r\n")
        code, lines = await self._wire.reply()
        if code != 220:
            raise _Failed(Fault.STARTTLS_REFUSED, f"{code} {lines[0]}")
        if self._wire.buffered:
            raise _Failed(Fault.INJECTED, "text in the clear follows the answer to STARTTLS")

    async def _hello(self) -> frozenset[str]:
        """The extensions; none of a server that knows only HELO, which Postfix tries then."""
        try:
            return await self._ehlo(Fault.REFUSED)
        except _Failed:
            self.stage = "HELO"
        code, lines = await self._command(f"HELO {self._name()}")
        if code != 250:
            raise _Failed(Fault.REJECTED if code >= 500 else Fault.REFUSED, f"{code} {lines[0]}")
        return frozenset()

    async def secure(self, context: ssl.SSLContext, sni: str) -> Session:
        """From the handshake to QUIT."""
        self.stage = "TLS handshake"
        try:
            await self._wire.start_tls(context, sni)
        except ssl.SSLCertVerificationError as fault:
            raise _Failed(Fault.UNTRUSTED, fault.verify_message, fault.verify_code) from fault
        except ssl.SSLError as fault:
            raise _Failed(Fault.HANDSHAKE, _reason(fault)) from fault
        except Broken as broken:
            raise _Failed(Fault.HANDSHAKE, broken.detail) from broken
        except OSError as fault:
            raise _Failed(Fault.HANDSHAKE, _words(fault)) from fault
        version, cipher, chain = self._wire.shown()
        self.stage = "EHLO under TLS"
        detail = await self._say_goodbye()
        return Session(Fault.AFTER_TLS if detail else None, detail, 0, version, cipher, chain)

    async def _say_goodbye(self) -> str:
        """EHLO and QUIT; what went wrong, empty if nothing did.

        Under TLS 1.3 a server refuses a client only after the client's side is done.
        """
        try:
            await self._ehlo(Fault.AFTER_TLS)
            await self._wire.send(b"QUIT\r\n")  # as Postfix: the answer is not waited for
        except ssl.SSLError as fault:
            return _plain(_reason(fault))
        except (_Failed, Broken) as failed:
            return _plain(failed.detail)
        except OSError as fault:
            return _words(fault)
        return ""

    async def _ehlo(self, refused: Fault) -> frozenset[str]:
        code, lines = await self._command(f"EHLO {self._name()}")
        if code != 250:
            raise _Failed(refused, f"{code} {lines[0]}")
        return frozenset(line.partition(" ")[0].upper() for line in lines[1:])

    async def _command(self, text: str) -> tuple[int, list[str]]:
        await self._wire.send(f"{text}\r\n".encode("ascii"))
        return await self._wire.reply()

    def _name(self) -> str:
        return self._helo or self._wire.literal()


def _reason(fault: ssl.SSLError) -> str:
    return (fault.reason or str(fault)).replace("_", " ").lower()


def _words(fault: OSError) -> str:
    # asyncio's own text names the address once more; the kernel's is the one people know.
    return os.strerror(fault.errno) if fault.errno else _plain(str(fault))


def _plain(text: str) -> str:
    """Text of unknown origin, short and with nothing invisible in it."""
    return visible(text[:_SHOWN])
