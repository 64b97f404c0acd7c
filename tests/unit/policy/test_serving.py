"""The running helper on the loopback interface: connections, reloads, health, bad input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from tlsgate.policy import health
from tlsgate.policy.generation import Generation
from tlsgate.policy.serve import ServeSettings, serve, settings_from

PIN = "ab" * 32
ENTRY = {
    "name": "Acme",
    "domain": "acme.example",
    "subdomains": False,
    "require": "certificate",
    "networks": [],
    "public_keys": [PIN],
}


def deliver(config: Path, name: str, identities: object) -> None:
    directory = config / "generations" / name
    directory.mkdir(parents=True)
    (directory / "identities.json").write_text(json.dumps(identities))
    (directory / "extra-ca.pem").write_text("")
    (directory / "partner_policy").write_text(".below.example\tdane-only\nown.example\tdane-only\n")
    (config / "next").symlink_to(f"generations/{name}")
    (config / "next").replace(config / "current")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_served(
    config: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[ServeSettings], Awaitable[None]]
) -> None:
    """Serves on free ports, asks, and stops by SIGTERM."""
    monkeypatch.setattr("tlsgate.policy.generation.POLL_SECONDS", 0.02)
    settings = ServeSettings(
        host="127.0.0.1",
        outbound_port=free_port(),
        inbound_port=free_port(),
        current=config / "current",
        nameservers=("127.0.0.1",),
        dns_port=free_port(),
    )

    async def run() -> None:
        ready = asyncio.Event()
        server = asyncio.create_task(serve(settings, ready))
        await asyncio.wait_for(ready.wait(), 10)
        try:
            await use(settings)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(server, 10)

    asyncio.run(run())


async def delegate(port: int, *blocks: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(blocks))
    writer.write_eof()
    reply = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return reply


def question(domain: str, key: str = PIN) -> bytes:
    return (
        f"request=smtpd_access_policy\nsender=a@{domain}\nclient_address=192.0.2.1\n"
        f"encryption_protocol=TLSv1.3\nccert_pubkey_fingerprint={key}\n\n"
    ).encode()


def test_pipelined_requests_are_answered_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path, "1", [ENTRY])

    async def use(settings: ServeSettings) -> None:
        reply = await delegate(
            settings.inbound_port, question("acme.example"), question("acme.example", "00" * 32)
        )
        first, second, rest = reply.split(b"\n\n")
        assert first == b"action=DUNNO"
        assert second.startswith(b"action=450 4.7.1 Acme requires")
        assert rest == b""

    run_served(tmp_path, monkeypatch, use)


@pytest.mark.parametrize(
    "junk", [b"EHLO x\r\n\r\n\n\n", b"x" * 20_000, b"request=smtpd_access_policy\n\n", b"\0\n\n"]
)
def test_junk_closes_one_connection_and_nothing_else(
    junk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path, "1", [ENTRY])

    async def use(settings: ServeSettings) -> None:
        with contextlib.suppress(ConnectionResetError):  # closed with octets unread
            assert await delegate(settings.inbound_port, junk) == b""
        reply = await delegate(settings.inbound_port, question("acme.example"))
        assert reply == b"action=DUNNO\n\n"

    run_served(tmp_path, monkeypatch, use)


def test_list_is_reloaded_and_a_bad_one_leaves_the_old_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def until(port: int, domain: str, action: bytes) -> None:
        async with asyncio.timeout(5):
            while not (await delegate(port, question(domain))).startswith(b"action=" + action):
                await asyncio.sleep(0.02)

    async def use(settings: ServeSettings) -> None:
        await until(settings.inbound_port, "acme.example", b"451 4.3.0 ")
        deliver(tmp_path, "1", [ENTRY])
        await until(settings.inbound_port, "acme.example", b"DUNNO")
        await until(settings.inbound_port, "brand.example", b"450 4.3.0 ")
        deliver(tmp_path, "2", [ENTRY, {**ENTRY, "domain": "brand.example"}])
        await until(settings.inbound_port, "brand.example", b"DUNNO")
        deliver(tmp_path, "3", [ENTRY, {"name": "half an entry"}])
        await asyncio.sleep(0.3)
        await until(settings.inbound_port, "brand.example", b"DUNNO")

    run_served(tmp_path, monkeypatch, use)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alerts = [event for event in events if event["event"] == "alert"]
    assert [alert["what"] for alert in alerts] == ["generation generations/3 refused"]
    assert "entry 1" in alerts[0]["reason"]


def test_bad_roots_are_refused_with_their_generation(tmp_path: Path) -> None:
    deliver(tmp_path, "1", [ENTRY])
    generation = Generation(tmp_path / "current")
    asyncio.run(generation.poll())
    before = generation.trust()
    deliver(tmp_path, "2", [])
    (tmp_path / "generations" / "2" / "extra-ca.pem").write_text("not a certificate")
    asyncio.run(generation.poll())
    assert generation.trust() is before
    assert len(generation.identities() or ()) == 1


def test_resolver_down_is_temporary_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlsgate.policy.lookups.TRY_SECONDS", 0.1)
    monkeypatch.setattr("tlsgate.policy.lookups.LIFETIME_SECONDS", 0.3)

    async def socketmap(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"17:postfix d.example,")
        reply = await asyncio.wait_for(reader.readuntil(b","), 5)
        writer.close()
        return reply

    async def use(settings: ServeSettings) -> None:
        assert b":TEMP look-up failed: MX of d.example" in await socketmap(settings.outbound_port)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            EmptyAnswers, local_addr=("127.0.0.1", settings.dns_port)
        )
        try:
            assert await socketmap(settings.outbound_port) == b"9:NOTFOUND ,"
        finally:
            transport.close()

    run_served(tmp_path, monkeypatch, use)


class EmptyAnswers(asyncio.DatagramProtocol):
    """A DNS server on which nothing exists."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        import dns.message
        import dns.rcode

        reply = dns.message.make_response(dns.message.from_wire(data), recursion_available=True)
        reply.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(reply.to_wire(), addr)


def test_health_asks_both_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def use(settings: ServeSettings) -> None:
        monkeypatch.setattr(health, "OUTBOUND", (settings.outbound_port, *health.OUTBOUND[1:]))
        monkeypatch.setattr(health, "INBOUND", (settings.inbound_port, *health.INBOUND[1:]))
        assert await asyncio.to_thread(health.check) == 0
        monkeypatch.setattr(health, "INBOUND", (free_port(), *health.INBOUND[1:]))
        assert await asyncio.to_thread(health.check) == 1

    run_served(tmp_path, monkeypatch, use)
    assert "does not answer" in capsys.readouterr().err


def test_settings_come_from_the_environment() -> None:
    settings = settings_from({"TLSGATE_RESOLVER": "192.0.2.1 2001:db8::1", "TLSGATE_CONFIG": "/c"})
    assert settings.nameservers == ("192.0.2.1", "2001:db8::1")
    assert settings.current == Path("/c/current")
    with pytest.raises(ValueError, match="resolver"):
        settings_from({"TLSGATE_RESOLVER": "resolver"})


@pytest.mark.parametrize(
    ("domain", "covered"),
    [
        ("a.below.example", True),
        ("b.a.below.example", True),
        ("below.example", False),
        ("notbelow.example", False),
        ("own.example", False),
        ("a.own.example", False),
        ("example", False),
    ],
)
def test_what_is_below_a_partner_is_the_partners(
    tmp_path: Path, domain: str, covered: bool
) -> None:
    generation = Generation(tmp_path / "current")
    assert not generation.covers(domain)
    deliver(tmp_path, "1", [])
    asyncio.run(generation.poll())
    assert generation.covers(domain) is covered
