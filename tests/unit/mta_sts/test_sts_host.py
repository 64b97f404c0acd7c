"""The policy fetched over HTTPS: what is taken for one, and that nothing is waited for too long."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.acme.acme_pki import Root
from tests.unit.dns.fake_dns import FakeLookups, Table
from tests.unit.mta_sts.web_host import POLICY, Answer, WebHost
from tlsgate.certificates.trust import trust_store
from tlsgate.mta_sts.fetch import BODY_LIMIT, FetchFault, PolicyFetcher
from tlsgate.mta_sts.policy import PolicyFault, parse_policy

pytestmark = serves_on_loopback

NAME = "mta-sts.corp.example"
ADDRESS: Table = {(NAME, "A"): (False, ["127.0.0.1"])}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHost]:
    host = WebHost(tmp_path_factory.mktemp("host"))
    yield host
    host.close()


@pytest.fixture
def host(running: WebHost, monkeypatch: pytest.MonkeyPatch) -> WebHost:
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    running.answer = Answer()
    running.asked.clear()
    running.use(running.root, [NAME])
    return running


def fetched(host: WebHost, table: Table = ADDRESS, root: Root | None = None) -> object:
    trust = trust_store((root or host.root).pem.decode())
    policies = PolicyFetcher(FakeLookups(table), lambda: trust, host.port)
    return asyncio.run(policies.fetch("corp.example"))


@pytest.mark.parametrize(
    "table",
    [
        ADDRESS,
        {**ADDRESS, (NAME, "AAAA"): None},
        {**ADDRESS, (NAME, "A"): (False, ["127.0.0.2", "127.0.0.1"])},
    ],
)
def test_the_policy_is_fetched(host: WebHost, table: Table) -> None:
    assert fetched(host, table) == parse_policy(POLICY.decode())
    assert host.asked == [(NAME, "/.well-known/mta-sts.txt")]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(status=404), "answered 404"),
        (Answer(status=301, location=f"https://{NAME}/policy"), "answered 301"),
        (Answer(kind="text/html"), "media type"),
        (Answer(kind=None), "media type"),
        (Answer(body=POLICY + b"\n" * BODY_LIMIT), "longer than"),
        (Answer(body=POLICY[:-9], length=len(POLICY)), "ClientPayloadError"),
    ],
)
def test_what_is_no_policy_file(host: WebHost, answer: Answer, fault: str) -> None:
    host.answer = answer
    with pytest.raises(FetchFault, match=fault):
        fetched(host)


@pytest.mark.parametrize("body", [b"", b"\xff" + POLICY, gzip.compress(POLICY, mtime=0)])
def test_a_file_that_is_no_policy(host: WebHost, body: bytes) -> None:
    host.answer = Answer(body=body)
    with pytest.raises(PolicyFault):
        fetched(host)


@pytest.mark.parametrize(
    ("table", "fault"),
    [({}, "has no address"), ({(NAME, "A"): None}, "look-up failed: A of mta-sts")],
)
def test_a_host_without_an_address(host: WebHost, table: Table, fault: str) -> None:
    with pytest.raises(FetchFault, match=fault):
        fetched(host, table)


def test_a_host_that_is_not_authenticated(host: WebHost) -> None:
    with pytest.raises(FetchFault, match="certificate verify failed"):
        fetched(host, root=Root("a stranger"))
    host.use(host.root, ["mta-sts.other.example"])
    with pytest.raises(FetchFault, match="Hostname mismatch"):
        fetched(host)


def test_a_host_that_accepts_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsgate.mta_sts.fetch.FETCH_SECONDS", 0.1)

    async def run() -> None:
        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        over = asyncio.Event()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        trust = trust_store()
        try:
            with pytest.raises(FetchFault, match="no answer within"):
                await PolicyFetcher(FakeLookups(ADDRESS), lambda: trust, port).fetch("corp.example")
        finally:
            over.set()
            server.close()
            await server.wait_closed()

    asyncio.run(run())
