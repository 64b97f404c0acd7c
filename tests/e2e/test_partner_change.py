"""A partner is added, tightened and removed by editing files: one `up` activates the changes.

Another certificate name counts as weaker, so two partners are weakened: the change is accepted
first.

The gateway keeps running meanwhile: its container is the same, and an open session completes.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import files
from lab.driver import Lab, new_token
from lab.endpoints import gateway_container
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, PulumiResult, accept, demo_config, write_config
from tests.e2e.smtp_session import Reply, Session, greeted
from tests.e2e.submission import submit
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

ADDED = """\
name: Free No More
contact: postmaster@unknownca-free.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
domains: [unknownca-free.example]
subdomains: false
outbound:
  verify: pkix
inbound:
  require: tls
"""
LOOSE, TIGHT = "  mx: [mx.provider.example]\n", "  mx: [mx.other.example]\n"
ANY_CLIENT = "  require: tls\n"
OTHER_NETWORK = "  require: network\n  networks: [192.0.2.0/24]\n"

TO = {"added": "unknownca-free", "tightened": "hosted", "removed": "plain"}
"""Kind of edit → the partner whose mail shows its effect."""
PEERS = ("unknownca", "hosted", "plain")
BURST = 30

OUT = [("added", "sent", "held"), ("tightened", "sent", "held"), ("removed", "held", "sent")]
IN = [("added", 250, 450), ("tightened", 250, 450), ("removed", 450, 250)]


@dataclass(frozen=True, slots=True)
class ListEffect:
    """The effect of one list: edit → sent or held, and edit → the answer to the partner's mail."""

    outbound: Mapping[str, str]
    inbound: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """The effects before and after the `up`, and on a session and mail during it.

    `burst`: recipients at the tightened partner, to whom mail was sent at once after the `up`,
    while connections of the looser rule were open.
    """

    said: PulumiResult
    containers: tuple[str | None, str | None]
    before: ListEffect
    after: ListEffect
    session: Reply
    session_token: str
    burst: tuple[str, ...]
    log: str


@pytest.fixture(scope="module")
def change(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Change]:
    """Edit the files and run `up` during a session and other mail; restore the list at the end."""
    folder = tmp_path_factory.mktemp("change")
    partners = Path(shutil.copytree(files.LAB / "partners", folder / "partners"))
    config = demo_config()
    config["config"]["tlsgate:partners"] = str(partners)
    file = write_config(folder / "Pulumi.demo.yaml", config)
    try:
        yield run_change(world, partners, file)
    finally:
        restore = with_config(write_config(file, demo_config()))
        accept(file, restore.preview())
        restored = restore.up()
        assert restored.code == 0, restored.text


def with_config(file: Path) -> Deployment:
    return Deployment(options=("--config-file", str(file)))


def run_change(world: World, partners: Path, file: Path) -> Change:
    lab, began = world.lab, time.time()
    before, container = look(lab), gateway_id(world)
    edit(partners)
    deployment = with_config(file)
    accept(file, deployment.preview())
    with open_transaction() as (session, token), flowing_mail(f"{TO['tightened']}.example"):
        said = deployment.up()
        session.send(b"the other half\r\n.\r\n")
        reply = session.reply()
        burst = tuple(f"{new_token()}@{TO['tightened']}.example" for _ in range(BURST))
        submit(burst)
        log = lab.gateway_log(since=began)
    return Change(said, (container, gateway_id(world)), before, look(lab), reply, token, burst, log)


def edit(partners: Path) -> None:
    """Edit the files as a pull request would."""
    (partners / "added.yaml").write_text(ADDED)
    (partners / "plain.yaml").unlink()
    for name, old, new in (("hosted", LOOSE, TIGHT), ("good", ANY_CLIENT, OTHER_NETWORK)):
        file = partners / f"{name}.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


def look(lab: Lab) -> ListEffect:
    """Send one message in each direction for each edited partner."""
    tokens = {kind: new_token() for kind in TO}
    recipients = {kind: f"{tokens[kind]}@{TO[kind]}.example" for kind in TO}
    lab.send((tokens[kind], recipients[kind], "") for kind in TO)

    def outcomes() -> dict[str, str]:
        waiting = {one.recipient for one in lab.queue() if one.reason}
        seen = {}
        for kind, peer in TO.items():
            if lab.received(peer.removesuffix("-free"), tokens[kind]):
                seen[kind] = "sent"
            elif recipients[kind] in waiting:
                seen[kind] = "held"
        return seen if len(seen) == len(TO) else {}

    return ListEffect(
        until(outcomes, "outcome of mail to each"),
        {
            "added": answer("a@unknownca-free.example", tls=False),
            "tightened": answer("a@good.example", tls=True),
            "removed": answer("a@plain.example", tls=False),
        },
    )


def answer(sender: str, *, tls: bool) -> int:
    """The answer to a sender's RCPT command."""
    with greeted(tls=tls) as session:
        session.ask(f"MAIL FROM:<{sender}>")
        return session.ask(f"RCPT TO:<{new_token()}@corp.example>").code


@contextmanager
def open_transaction() -> Iterator[tuple[Session, str]]:
    """A partner's session in the middle of a message, and the message's token."""
    token = new_token()
    with greeted(tls=True) as session:
        assert session.ask("MAIL FROM:<a@good.example>").code == 250
        assert session.ask(f"RCPT TO:<{token}@corp.example>").code == 250
        assert session.ask("DATA").code == 354
        session.send(f"Subject: open\r\n\r\n{token}\r\none half\r\n".encode())
        yield session, token


@contextmanager
def flowing_mail(domain: str) -> Iterator[None]:
    """Send mail to a domain during the block, so that connections to its server stay open."""
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.5):
            submit([f"{new_token()}@{domain}" for _ in range(BURST)])

    flow = threading.Thread(target=send)
    flow.start()
    try:
        yield
    finally:
        over.set()
        flow.join()


def gateway_id(world: World) -> str | None:
    return world.client.containers.get(gateway_container("gateway")).id


def test_one_up_changes_only_the_list(change: Change) -> None:
    assert change.said.code == 0, change.said.text
    assert change.said.changes.startswith("~ 2 updated"), change.said.text
    assert change.containers[0] == change.containers[1]


@pytest.mark.parametrize(("edit", "before", "after"), OUT)
def test_outbound(change: Change, edit: str, before: str, after: str) -> None:
    assert (change.before.outbound[edit], change.after.outbound[edit]) == (before, after)


@pytest.mark.parametrize(("edit", "before", "after"), IN)
def test_inbound(change: Change, edit: str, before: int, after: int) -> None:
    assert (change.before.inbound[edit], change.after.inbound[edit]) == (before, after)


def test_an_open_session_completes_its_message(lab: Lab, change: Change) -> None:
    assert change.session.code == 250
    mail = until(lambda: lab.received("internal", change.session_token), "mail of the session")
    assert "one half" in mail.text
    assert "the other half" in mail.text


def test_a_tightened_rule_gets_no_connection_of_the_looser_one(lab: Lab, change: Change) -> None:
    """Same domain, same server, other names: nothing but the rule tells the connections apart."""

    def all_held() -> bool:
        return {one.recipient for one in lab.queue() if one.reason}.issuperset(change.burst)

    until(all_held, "queue with all of them")
    assert "Verified TLS connection reused to mx.provider.example" in change.log
    assert not [to for to in change.burst if lab.received("hosted", to.partition("@")[0])]
