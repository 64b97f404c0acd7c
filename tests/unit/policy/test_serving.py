"""The running helper on the loopback interface: connections, reloads, health, bad input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.policy.partner_list import partner, rules, rules_json
from tlsgate.mta_sts.cache import PolicyCache
from tlsgate.mta_sts.cache_file import PolicyFile
from tlsgate.mta_sts.policy import StsPolicy
from tlsgate.partners.model import Inbound, Partner, Require
from tlsgate.policy import health, status
from tlsgate.policy.__main__ import main
from tlsgate.policy.generation import GenerationFollower
from tlsgate.policy.serve import ServeSettings, serve, settings_from

pytestmark = serves_on_loopback

PIN = "ab" * 32
CERTIFICATE = Inbound(Require.CERTIFICATE, public_keys=(PIN,))
ACME = partner("acme.example", inbound=CERTIFICATE)
BRAND = partner("brand.example", inbound=CERTIFICATE)
WATCHED = partner("watched.example", inbound=CERTIFICATE, observe=True)
UNKNOWN = "0" * 16


def digest(*partners: Partner) -> str:
    return rules(*partners).digest


def deliver(config: Path, name: str, *partners: Partner, text: str = "") -> None:
    """The list, or any text in the place of its rules."""
    directory = config / "generations" / name
    directory.mkdir(parents=True)
    (directory / "partner_rules.json").write_text(text or rules_json(*partners))
    (directory / "extra-ca.pem").write_text("")
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
        state=config,
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


def question(
    domain: str,
    context: str,
    *,
    key: str = PIN,
    recipient: str = "u@corp.example",
    message: str = "1",
) -> bytes:
    return (
        f"request=smtpd_access_policy\nsender=a@{domain}\nclient_address=192.0.2.1\n"
        f"encryption_protocol=TLSv1.3\nccert_pubkey_fingerprint={key}\nrecipient={recipient}\n"
        f"instance={message}\npolicy_context={context}\n\n"
    ).encode()


def test_pipelined_requests_are_answered_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path, "1", ACME)
    context = f"enforce-{digest(ACME)}"

    async def use(settings: ServeSettings) -> None:
        reply = await delegate(
            settings.inbound_port,
            question("acme.example", context),
            question("acme.example", context, key="00" * 32),
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
    deliver(tmp_path, "1", ACME)

    async def use(settings: ServeSettings) -> None:
        with contextlib.suppress(ConnectionResetError):  # closed with octets unread
            assert await delegate(settings.inbound_port, junk) == b""
        asked = question("acme.example", f"enforce-{digest(ACME)}")
        assert await delegate(settings.inbound_port, asked) == b"action=DUNNO\n\n"

    run_served(tmp_path, monkeypatch, use)


def test_every_question_is_answered_from_the_rules_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Postfix may be a generation ahead, or one behind: never is it answered from another."""
    # Only a question makes the helper look.
    monkeypatch.setattr("tlsgate.policy.generation.GenerationFollower.follow", _never)
    lists = [(ACME,), (ACME, BRAND), (BRAND,), (WATCHED,)]

    async def use(settings: ServeSettings) -> None:
        async def says(domain: str, context: str) -> bytes:
            reply = await delegate(settings.inbound_port, question(domain, context))
            return reply.removeprefix(b"action=")[:4]

        first, both, brand, watched = (f"enforce-{digest(*one)}" for one in lists)
        assert await says("acme.example", first) == b"450 "  # nothing was delivered
        deliver(tmp_path, "1", *lists[0])
        assert await says("acme.example", both) == b"450 "
        assert await says("acme.example", first) == b"DUNN"
        assert await says("brand.example", first) == b"450 "
        deliver(tmp_path, "2", *lists[1])
        assert await says("brand.example", both) == b"DUNN"
        assert await says("brand.example", first) == b"450 "  # as the list before has it
        assert await says("acme.example", first) == b"DUNN"
        deliver(tmp_path, "3", ACME, text='{"outbound": 1}')
        assert await says("brand.example", f"enforce-{UNKNOWN}") == b"450 "
        assert await says("brand.example", both) == b"DUNN"
        for number, one in enumerate(lists[2:], start=4):
            deliver(tmp_path, str(number), *one)
            await says("acme.example", f"enforce-{digest(*one)}")
        assert await says("acme.example", both) == b"DUNN"
        assert await says("acme.example", first) == b"450 "  # too old
        # A word that is no context, or none, opens nothing.
        for context in ("", brand.removeprefix("enforce-"), f"allow-{digest(BRAND)}"):
            assert await says("brand.example", context) == b"450 "
        # What is observed now is not enforced, and Postfix would not ask.
        assert await says("watched.example", watched) == b"450 "

    run_served(tmp_path, monkeypatch, use)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alerts = [event for event in events if event["event"] == "alert"]
    assert [alert["what"] for alert in alerts] == ["generation generations/3 refused"]


async def _never(_: GenerationFollower) -> None:
    await asyncio.Event().wait()


def test_a_new_list_is_taken_up_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(settings: ServeSettings) -> None:
        deliver(tmp_path, "1", WATCHED)
        async with asyncio.timeout(5):
            while not observations(tmp_path):
                await asyncio.sleep(0.02)

    monkeypatch.setattr("tlsgate.policy.observations.WRITE_SECONDS", 0.02)
    run_served(tmp_path, monkeypatch, use)


def observations(folder: Path) -> dict[str, Any]:
    file = folder / "observations.json"
    return dict(json.loads(file.read_text())["data"]) if file.exists() else {}


def test_what_is_observed_is_counted_and_never_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried: list[tuple[str, str]] = []

    async def check(_lookups: object, _loaded: object, domain: str, policy: str, _: int) -> str:
        tried.append((domain, policy))
        return "name"

    monkeypatch.setattr("tlsgate.policy.delivery_check.would_hold", check)
    deliver(tmp_path, "1", WATCHED, ACME)
    known = digest(WATCHED, ACME)
    inbound, outbound = f"observe-inbound-{known}", f"observe-outbound-{known}"
    asked = [
        question("watched.example", inbound),
        question("watched.example", inbound, recipient="v@corp.example"),  # the same message
        question("watched.example", inbound, message="2", key="00" * 32),
        question("watched.example", f"observe-inbound-{UNKNOWN}", message="3"),
        question("acme.example", inbound, message="4", key="00" * 32),
        question("corp.example", outbound, message="5", recipient="u@watched.example"),
        question("corp.example", outbound, message="5", recipient="v@watched.example"),
        question("corp.example", outbound, message="6", recipient="u@watched.example"),
        question("corp.example", outbound, message="7", recipient="u@acme.example"),
        question("corp.example", outbound, message="8", recipient="nobody"),
        question("corp.example", f"observe-outbound-{UNKNOWN}", message="9"),
    ]

    async def use(settings: ServeSettings) -> None:
        reply = await delegate(settings.inbound_port, *asked)
        assert reply == b"action=DUNNO\n\n" * len(asked)

    run_served(tmp_path, monkeypatch, use)
    assert tried == [("watched.example", "secure match=watched.example:.watched.example")]
    monkeypatch.setenv("TLSGATE_STATE", str(tmp_path))
    capsys.readouterr()
    assert main(["observations"]) == 0
    counted = json.loads(capsys.readouterr().out)
    assert set(counted) == {"Watched"}
    assert counted["Watched"]["inbound"]["messages"] == 2
    assert counted["Watched"]["inbound"]["would_hold"] == {"unregistered-key": 1}
    assert counted["Watched"]["outbound"]["messages"] == 2
    assert counted["Watched"]["outbound"]["would_hold"] == {"name": 2}


@pytest.mark.parametrize("known", [True, False])
def test_the_null_sender_is_judged_by_where_it_comes_from(
    known: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deliver(tmp_path, "1", ACME, WATCHED)
    if known:  # from before it was started; no name server answers now
        (tmp_path / "addresses.json").write_text('{"acme.example": ["192.0.2.1"]}')
    context = f"null-sender-{digest(ACME, WATCHED)}"

    def bounce(client: str, tls: str, context: str) -> bytes:
        return (
            f"request=smtpd_access_policy\nsender=\nclient_address={client}\n"
            f"encryption_protocol={tls}\npolicy_context={context}\n\n"
        ).encode()

    asked = [
        bounce("192.0.2.1", "", context),
        bounce("::ffff:192.0.2.1", "", context),
        bounce("192.0.2.2", "", context),
        bounce("192.0.2.2", "", f"null-sender-{UNKNOWN}"),
        bounce("192.0.2.2", "", f"null-{digest(ACME, WATCHED)}"),
        bounce("192.0.2.1", "TLSv1.3", context),
        bounce("192.0.2.1", "TLSv1.3", f"null-sender-{UNKNOWN}"),
    ]

    async def use(settings: ServeSettings) -> None:
        reply = await delegate(settings.inbound_port, *asked)
        said = [one.removeprefix(b"action=")[:9] for one in reply.split(b"\n\n")[:-1]]
        elsewhere = b"DUNNO" if known else b"450 4.7.1"
        assert said == [
            *(b"450 4.7.1", b"450 4.7.1", elsewhere),
            *(b"450 4.3.0", b"450 4.3.0", b"DUNNO", b"DUNNO"),
        ]

    run_served(tmp_path, monkeypatch, use)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    reasons = [event["reason"] for event in events if event["event"] == "refused"]
    plaintext, unknown = "session is plaintext", "the client may be a partner's server"
    first = [plaintext] * 2 if known else [unknown] * 3
    assert reasons == [*first, *["its rules are not known here"] * 2]


def test_bad_roots_are_refused_with_their_generation(tmp_path: Path) -> None:
    deliver(tmp_path, "1", ACME)
    generation = GenerationFollower(tmp_path / "current")
    asyncio.run(generation.poll())
    before = generation.trust()
    deliver(tmp_path, "2")
    (tmp_path / "generations" / "2" / "extra-ca.pem").write_text("not a certificate")
    asyncio.run(generation.poll())
    assert generation.trust() is before
    assert asyncio.run(generation.rules(digest(ACME))) is not None
    assert asyncio.run(generation.rules(digest())) is None


def test_resolver_down_is_temporary_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlsgate.dns.lookups.TRY_SECONDS", 0.1)
    monkeypatch.setattr("tlsgate.dns.lookups.LIFETIME_SECONDS", 0.3)

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


def test_the_running_helper_tells_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def use(settings: ServeSettings) -> None:
        monkeypatch.setattr(status, "OUTBOUND_PORT", settings.outbound_port)
        assert await asyncio.to_thread(main, ["status"]) == 0
        monkeypatch.setattr(status, "OUTBOUND_PORT", free_port())
        assert await asyncio.to_thread(main, ["status"]) == 1

    kept = PolicyCache(PolicyFile(tmp_path))
    kept.put("d.example", "1", StsPolicy("enforce", ("mx.d.example",), 86_400), time.time())
    assert kept.write()
    run_served(tmp_path, monkeypatch, use)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in told if "policies" in line] == [
        {
            "policies": {"enforce": 1},
            "looking": 0,
            "failing": {},
            "answered_without": {},
            "answered_undecided": 0,
            "file": "ok",
        }
    ]


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
        assert await asyncio.to_thread(health.check) == 0  # nothing was delivered
        deliver(tmp_path, "1", ACME)
        assert await asyncio.to_thread(health.check) == 0
        deliver(tmp_path, "2", text="no rules")
        assert await asyncio.to_thread(health.check) == 1
        assert await asyncio.to_thread(health.alive) == 0  # a restart would lose the list before
        deliver(tmp_path, "3", ACME, BRAND)
        assert await asyncio.to_thread(health.check) == 0
        monkeypatch.setattr(health, "INBOUND", (free_port(), *health.INBOUND[1:]))
        assert await asyncio.to_thread(health.check) == 1
        assert await asyncio.to_thread(health.alive) == 1

    monkeypatch.setenv("TLSGATE_CONFIG", str(tmp_path))
    run_served(tmp_path, monkeypatch, use)
    said = capsys.readouterr().err
    assert "the list of partners is being changed" in said
    assert "does not answer" in said


def test_settings_come_from_the_environment() -> None:
    settings = settings_from({"TLSGATE_RESOLVER": "192.0.2.1 2001:db8::1", "TLSGATE_CONFIG": "/c"})
    assert settings.nameservers == ("192.0.2.1", "2001:db8::1")
    assert settings.current == Path("/c/current")
    with pytest.raises(ValueError, match="resolver"):
        settings_from({"TLSGATE_RESOLVER": "resolver"})
