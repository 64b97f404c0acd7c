"""The SMTP dialogue up to TLS and not further (RFC 5321, RFC 3207): no message is ever sent.

Own code rather than aiosmtplib or smtplib, for three things those do not give: a bound on every
byte that a hostile server may send, the refusal of bytes that follow the answer to STARTTLS in the
clear (CVE-2011-0411), and the certificate chain of a handshake whose verification failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
from dataclasses import dataclass
from enum import StrEnum

from tlsgate.problems import visible

LINE_LIMIT = 2048
"""Octets; as Postfix's line_length_limit. RFC 5321, section 4.5.3.1.5 allows 512."""
LINES_LIMIT = 128
RECEIVED_LIMIT = 256 * 1024
"""Octets of a whole session, chain included: OpenSSL's own limit on a chain is 100 KiB."""
_CHUNK = 16 * 1024
_SHOWN = 160
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class Fault(StrEnum):
    """What kept a session from its end. The value is stable: it stands in `--json`."""

    UNREACHABLE = "unreachable"
    SLOW = "slow"
    CLOSED = "closed"
    PROTOCOL = "protocol"
    REFUSED = "refused"
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
    wire: _Wire | None = None
    try:
        with socket.socket(kind, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            wire = _Wire(connection)
            async with asyncio.timeout(limits.session_seconds):
                await _connect(connection, address, limits)
                await _greet(wire, limits)
                return await _secure(wire, context, sni, limits)
    except _Failed as failed:
        return Session(failed.fault, _plain(failed.detail), failed.code)
    except TimeoutError:
        stage = wire.stage if wire else "connection"
        detail = f"{stage} not finished within {limits.session_seconds:g} s"
        return Session(Fault.SLOW, detail)
    except OSError as fault:
        # A connection that ends in the middle; before there was one, `_connect` says so.
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


async def _greet(wire: _Wire, limits: Limits) -> None:
    """Up to the server's consent to STARTTLS."""
    wire.stage = "greeting"
    code, lines = await wire.reply()
    if code != 220:
        raise _Failed(Fault.REFUSED, f"{code} {lines[0]}")
    wire.stage = "EHLO"
    keywords = await _ehlo(wire, limits, Fault.REFUSED)
    if "STARTTLS" not in keywords:
        raise _Failed(Fault.NO_STARTTLS, "STARTTLS is not among the extensions offered")
    wire.stage = "STARTTLS"
    await wire.send(b"STARTTLS\r\n")
    code, lines = await wire.reply()
    if code != 220:
        raise _Failed(Fault.STARTTLS_REFUSED, f"{code} {lines[0]}")
    if wire.buffered:
        raise _Failed(Fault.INJECTED, "text in the clear follows the answer to STARTTLS")


async def _secure(wire: _Wire, context: ssl.SSLContext, sni: str, limits: Limits) -> Session:
    """From the handshake to QUIT."""
    wire.stage = "TLS handshake"
    try:
        await wire.start_tls(context, sni)
    except ssl.SSLCertVerificationError as fault:
        raise _Failed(Fault.UNTRUSTED, fault.verify_message, fault.verify_code) from fault
    except ssl.SSLError as fault:
        raise _Failed(Fault.HANDSHAKE, _reason(fault)) from fault
    except _Failed as failed:
        raise _Failed(Fault.HANDSHAKE, failed.detail) from failed
    except OSError as fault:
        raise _Failed(Fault.HANDSHAKE, _words(fault)) from fault
    shown = wire.shown()
    wire.stage = "EHLO under TLS"
    try:
        # Under TLS 1.3 a server refuses a client only after the client's side is done.
        await _ehlo(wire, limits, Fault.AFTER_TLS)
        await wire.send(b"QUIT\r\n")  # as Postfix: the answer is not waited for
    except ssl.SSLError as fault:
        return Session(Fault.AFTER_TLS, _plain(_reason(fault)), 0, *shown)
    except _Failed as failed:
        return Session(Fault.AFTER_TLS, _plain(failed.detail), 0, *shown)
    except OSError as fault:
        return Session(Fault.AFTER_TLS, _words(fault), 0, *shown)
    return Session(None, "", 0, *shown)


async def _ehlo(wire: _Wire, limits: Limits, refused: Fault) -> frozenset[str]:
    await wire.send(f"EHLO {limits.helo or wire.literal()}\r\n".encode("ascii"))
    code, lines = await wire.reply()
    if code != 250:
        raise _Failed(refused, f"{code} {lines[0]}")
    return frozenset(line.partition(" ")[0].upper() for line in lines[1:])


class _Wire:
    """A socket, then TLS over it; counts and bounds what comes in."""

    def __init__(self, connection: socket.socket) -> None:
        self.stage = "connection"
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._lines = bytearray()
        self._received = 0
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None

    @property
    def buffered(self) -> bool:
        """Whether bytes are here that nobody has read."""
        return bool(self._lines)

    def literal(self) -> str:
        """The own address as RFC 5321, section 4.1.3 writes it."""
        address = str(self._socket.getsockname()[0])
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    async def send(self, data: bytes) -> None:
        """Raises OSError, ssl.SSLError."""
        if self._tls is None:
            await self._loop.sock_sendall(self._socket, data)
        else:
            self._tls.write(data)
            await self._flush()

    async def reply(self) -> tuple[int, list[str]]:
        """One reply: its code and the text of each line. Raises _Failed, OSError."""
        texts: list[str] = []
        code = 0
        while True:
            match = _REPLY_LINE.fullmatch(await self._line())
            if match is None or (texts and int(match[1]) != code):
                raise _Failed(Fault.PROTOCOL, "the answer is not an SMTP reply")
            code = int(match[1])
            texts.append((match[3] or b"").decode("utf-8", "replace").strip())
            if match[2] != b"-":
                return code, texts
            if len(texts) >= LINES_LIMIT:
                raise _Failed(Fault.PROTOCOL, f"a reply has more than {LINES_LIMIT} lines")

    async def start_tls(self, context: ssl.SSLContext, sni: str) -> None:
        """The handshake. Raises ssl.SSLError, _Failed, OSError."""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=sni or None)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._receive())
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()  # the alert: the server may know why, too
                raise
            else:
                return await self._flush()

    def shown(self) -> tuple[str, str, tuple[bytes, ...]]:
        """Protocol version, cipher and the chain as the server sent it."""
        assert self._tls is not None  # noqa: S101  # only called after start_tls
        cipher = self._tls.cipher()
        return self._tls.version() or "", cipher[0] if cipher else "", _chain(self._tls)

    async def _line(self) -> bytes:
        while b"\n" not in self._lines:
            if len(self._lines) > LINE_LIMIT:
                raise _Failed(Fault.PROTOCOL, f"a line is longer than {LINE_LIMIT} octets")
            self._lines += await self._read()
        line, _, rest = bytes(self._lines).partition(b"\n")
        if len(line) > LINE_LIMIT:
            raise _Failed(Fault.PROTOCOL, f"a line is longer than {LINE_LIMIT} octets")
        self._lines[:] = rest
        return line.removesuffix(b"\r")

    async def _read(self) -> bytes:
        if self._tls is None:
            return await self._receive()
        while True:
            try:
                data = self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._receive())
            else:
                if not data:
                    raise _Failed(Fault.CLOSED, "the server closed the connection")
                return data

    async def _receive(self) -> bytes:
        data = await self._loop.sock_recv(self._socket, _CHUNK)
        if not data:
            raise _Failed(Fault.CLOSED, "the server closed the connection")
        self._received += len(data)
        if self._received > RECEIVED_LIMIT:
            raise _Failed(Fault.PROTOCOL, f"more than {RECEIVED_LIMIT} octets received")
        return data

    async def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            await self._loop.sock_sendall(self._socket, data)


def _chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return tuple(tls.get_unverified_chain())
    # Python 3.11 and 3.12 have the same call under a private name; both are past changes.
    certificates = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
    return tuple(certificate.public_bytes(_DER) for certificate in certificates or ())


_DER = 2
"""_ssl.ENCODING_DER"""


def _reason(fault: ssl.SSLError) -> str:
    return (fault.reason or str(fault)).replace("_", " ").lower()


def _words(fault: OSError) -> str:
    # asyncio's own text names the address once more; the kernel's is the one people know.
    return os.strerror(fault.errno) if fault.errno else _plain(str(fault))


def _plain(text: str) -> str:
    """Text of unknown origin, short and with nothing invisible in it."""
    return visible(text[:_SHOWN])
