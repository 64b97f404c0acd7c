"""What the containers of a benchmark run: mail servers, senders and slow clients.

`python3 party.py ROLE …` uses only the standard library, because it runs in the project's images.
Every role prints JSON lines. Times are seconds of this machine's clock, which all containers share.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Reader: TypeAlias = asyncio.StreamReader
Writer: TypeAlias = asyncio.StreamWriter

CLIENT_SECONDS = 60.0
"""How long a sender waits for an answer."""
GREETING_SECONDS = 20.0
"""How long an honest client waits for the greeting."""
AGAIN_SECONDS = 1.0
"""Pause of a slow client that was refused, before it connects again."""
BYTE_SECONDS = 20.0
"""Interval at which every second slow client sends a byte."""


def say(**values: Any) -> None:
    """Print one JSON line."""
    print(json.dumps(values), flush=True)


# Servers


async def mail(pem: Path, refused: str) -> None:
    """A mail server on port 25."""
    handler = session_of(pem, refused)
    server = await asyncio.start_server(handler, "0.0.0.0", 25, backlog=512)  # noqa: S104
    await server.serve_forever()


def session_of(pem: Path, refused: str) -> Callable[[Reader, Writer], Awaitable[None]]:
    """The handler of one SMTP session, with STARTTLS if the file `pem` exists.

    Prints each message's first recipient and time. Messages to the domain `refused` are refused
    after DATA, as a content filter does.
    """
    context = None
    if pem.exists():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem)

    async def session(reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # TLS's own are OSErrors
            await _serve(reader, writer, context, refused)
        writer.close()

    return session


async def _serve(
    reader: Reader, writer: Writer, context: ssl.SSLContext | None, refused: str
) -> None:
    recipient, secure = "", False
    writer.write(b"220 party ESMTP\r\n")
    while line := (await reader.readline()).decode("latin-1").strip():
        verb = line.upper().split(" ")[0]
        if verb == "EHLO":
            last = b"250 STARTTLS\r\n" if context and not secure else b"250 SIZE\r\n"
            writer.write(b"250-party\r\n250-PIPELINING\r\n" + last)
        elif verb == "STARTTLS" and context:
            writer.write(b"220 go ahead\r\n")
            await writer.drain()
            await writer.start_tls(context)
            secure = True
        elif verb == "DATA":
            writer.write(b"354 go ahead\r\n")
            await reader.readuntil(b"\r\n.\r\n")
            if refused and recipient.endswith(f"@{refused}"):
                writer.write(b"554 5.7.1 refused\r\n")
            else:
                say(recipient=recipient, at=time.time(), tls=secure)
                writer.write(b"250 stored\r\n")
        elif verb == "QUIT":
            writer.write(b"221 bye\r\n")
            await writer.drain()
            return
        else:
            if verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
            writer.write(b"250 ok\r\n")
        await writer.drain()


async def silent(ports: Sequence[int]) -> None:
    """Accepts connections and never answers; on port 25 it greets first. Prints each connection."""

    async def hold(reader: Reader, writer: Writer) -> None:
        port = writer.get_extra_info("sockname")[1]
        say(port=port)
        if port == 25:
            writer.write(b"220 party ESMTP\r\n")
        with contextlib.suppress(OSError):
            while await reader.read(4096):
                pass
        writer.close()

    servers = [await asyncio.start_server(hold, "0.0.0.0", port, backlog=1024) for port in ports]  # noqa: S104
    await asyncio.gather(*(server.serve_forever() for server in servers))


# Clients


class Client:
    """An SMTP session."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, host: str, port: int) -> Client:
        """Connect, read the greeting and send EHLO. Raises OSError."""
        async with asyncio.timeout(CLIENT_SECONDS):
            client = cls(*await asyncio.open_connection(host, port))
        await client._answer(220)
        await client.command("EHLO party.example", 250)
        return client

    async def command(self, text: str, expected: int) -> None:
        """Send a command. Raises OSError on an unexpected answer."""
        self._writer.write(text.encode() + b"\r\n")
        await self._answer(expected)

    async def start_tls(self) -> None:
        """Start TLS without checking the certificate."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self.command("STARTTLS", 220)
        await self._writer.start_tls(context)
        await self.command("EHLO party.example", 250)

    async def send(self, sender: str, recipient: str, size: int) -> None:
        """Send a message of about `size` bytes."""
        await self.command(f"MAIL FROM:<{sender}>", 250)
        await self.command(f"RCPT TO:<{recipient}>", 250)
        await self.command("DATA", 354)
        body = ("x" * 78 + "\r\n") * (size // 80)
        head = f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: benchmark\r\n"
        await self.command(f"{head}\r\n{body}.", 250)

    def close(self) -> None:
        """Close the connection without QUIT."""
        self._writer.close()

    async def _answer(self, expected: int) -> None:
        async with asyncio.timeout(CLIENT_SECONDS):
            while (line := await self._reader.readline())[3:4] == b"-":
                pass
        if line[:3] != str(expected).encode():
            raise OSError(f"answered {line.decode('latin-1').strip()!r}")


async def send(plan: dict[str, Any]) -> None:
    """`messages` (sender, recipient) to `host`, `port`, at `rate` per second (0: all at once).

    Uses `sessions` permanent sessions. Prints for each message when it was accepted and how long
    that took since it was due, or the error.
    """
    begun = time.time()
    rate = plan["rate"]
    due = [begun + number / rate if rate else begun for number in range(len(plan["messages"]))]
    waiting = iter(zip(due, plan["messages"], strict=True))

    async def work() -> None:
        client = None
        for at, (sender, recipient) in waiting:
            await asyncio.sleep(max(0.0, at - time.time()))
            try:
                client = client or await Client.connect(plan["host"], plan["port"])
                await client.send(sender, recipient, plan["bytes"])
            except OSError as fault:  # a time-out is one
                say(recipient=recipient, fault=str(fault) or "no answer")
                if client:
                    client.close()
                client = None
            else:
                now = time.time()
                say(recipient=recipient, at=now, seconds=now - at)
        if client:
            client.close()

    await asyncio.gather(*(work() for _ in range(plan["sessions"])))


async def slow(host: str, count: int) -> None:
    """`count` connections to port 25 that are silent or rarely send a byte, without end."""

    async def hold(number: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, 25)
                say(connected=number)
                await _linger(reader, writer, number % 2 == 0)
            await asyncio.sleep(AGAIN_SECONDS)

    await asyncio.gather(*map(hold, range(count)))


async def _linger(reader: Reader, writer: Writer, talks: bool) -> None:
    """Hold the connection until the server closes it."""
    while True:
        try:
            async with asyncio.timeout(BYTE_SECONDS):
                if not await reader.read(4096):
                    writer.close()
                    return
        except TimeoutError:
            if talks:
                writer.write(b"E")


async def greet(host: str, count: int, rate: float) -> None:
    """An honest client: prints how long each of `count` greetings took from the first packet.

    `greeted`: whether the greeting came within GREETING_SECONDS.
    """

    async def one(number: int) -> None:
        await asyncio.sleep(number / rate)
        begun = time.monotonic()
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                client = await Client.connect(host, 25)
        except OSError:
            say(seconds=GREETING_SECONDS, greeted=False)
            return
        say(seconds=time.monotonic() - begun, greeted=True)
        with contextlib.suppress(OSError):
            await client.command("QUIT", 221)
        client.close()

    await asyncio.gather(*map(one, range(count)))


async def sessions(host: str, count: int, recipient: str) -> None:
    """Open `count` TLS sessions, each in the middle of a message; prints when all are open."""
    places = asyncio.Semaphore(10)
    faults = 0

    async def one() -> Client | None:
        nonlocal faults
        async with places:
            try:
                client = await Client.connect(host, 25)
                await client.start_tls()
                await client.command("MAIL FROM:<a@party.example>", 250)
                await client.command(f"RCPT TO:<{recipient}>", 250)
                await client.command("DATA", 354)
            except OSError as fault:
                faults += 1
                say(fault=str(fault) or "no answer")
                return None
            return client

    held = await asyncio.gather(*(one() for _ in range(count)))
    say(held=len(held) - faults)
    await asyncio.sleep(CLIENT_SECONDS)


def _options(arguments: Sequence[str] | None) -> Callable[[], Awaitable[None]]:
    parser = argparse.ArgumentParser(description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    role = roles.add_parser("mail", help="a mail server")
    role.add_argument("--pem", type=Path, default=Path("server.pem"))
    role.add_argument("--refuse", default="", metavar="DOMAIN")
    role = roles.add_parser("silent", help="a server that never answers")
    role.add_argument("ports", type=int, nargs="+")
    role = roles.add_parser("send", help="a sender")
    role.add_argument("plan", type=Path, help="JSON: host, port, sessions, rate, bytes, messages")
    for name, text in (("slow", "slow clients"), ("greet", "an honest client")):
        role = roles.add_parser(name, help=text)
        role.add_argument("host")
        role.add_argument("count", type=int)
        role.add_argument("--rate", type=float, default=4.0)
    role = roles.add_parser("sessions", help="sessions over TLS that stay")
    role.add_argument("host")
    role.add_argument("count", type=int)
    role.add_argument("recipient")
    chosen = parser.parse_args(arguments)
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "mail": lambda: mail(chosen.pem, chosen.refuse),
        "silent": lambda: silent(chosen.ports),
        "send": lambda: send(json.loads(chosen.plan.read_text())),
        "slow": lambda: slow(chosen.host, chosen.count),
        "greet": lambda: greet(chosen.host, chosen.count, chosen.rate),
        "sessions": lambda: sessions(chosen.host, chosen.count, chosen.recipient),
    }
    return work[chosen.role]


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


if __name__ == "__main__":
    asyncio.run(_run(_options(None)))
