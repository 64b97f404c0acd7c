"""The bytes of an SMTP session: replies in the clear and under TLS, all of them counted.

A server can send what it likes: a line, a reply and a session each have a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl

LINE_LIMIT = 2048
"""Octets; as Postfix's line_length_limit. RFC 5321, section 4.5.3.1.5 allows 512."""
LINES_LIMIT = 128
RECEIVED_LIMIT = 256 * 1024
"""Octets of a whole session, chain included: OpenSSL's own limit on a chain is 100 KiB."""
_CHUNK = 16 * 1024
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class Broken(Exception):
    """The session cannot go on. `closed`: the server ended it; else it sent what it must not."""

    def __init__(self, detail: str, *, closed: bool = False) -> None:
        super().__init__(detail)
        self.detail, self.closed = detail, closed


class Wire:
    """A socket, then TLS over it; counts and bounds what comes in."""

    def __init__(self, connection: socket.socket) -> None:
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
        """One reply: its code and the text of each line. Raises Broken, OSError."""
        texts: list[str] = []
        code = 0
        while True:
            match = _REPLY_LINE.fullmatch(await self._line())
            if match is None or (texts and int(match[1]) != code):
                raise Broken("the answer is not an SMTP reply")
            code = int(match[1])
            texts.append((match[3] or b"").decode("utf-8", "replace").strip())
            if match[2] != b"-":
                return code, texts
            if len(texts) >= LINES_LIMIT:
                raise Broken(f"a reply has more than {LINES_LIMIT} lines")

    async def start_tls(self, context: ssl.SSLContext, sni: str) -> None:
        """The handshake. Raises ssl.SSLError, Broken, OSError."""
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
                raise Broken(f"a line is longer than {LINE_LIMIT} octets")
            self._lines += await self._read()
        line, _, rest = bytes(self._lines).partition(b"\n")
        if len(line) > LINE_LIMIT:
            raise Broken(f"a line is longer than {LINE_LIMIT} octets")
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
                    raise Broken("the server closed the connection", closed=True)
                return data

    async def _receive(self) -> bytes:
        data = await self._loop.sock_recv(self._socket, _CHUNK)
        if not data:
            raise Broken("the server closed the connection", closed=True)
        self._received += len(data)
        if self._received > RECEIVED_LIMIT:
            raise Broken(f"more than {RECEIVED_LIMIT} octets received")
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
