"""Controls the running lab: sends mail, reads mailboxes, queue and captures, repairs peers.

Every message has its own token, in its recipient's local part and in its text. The token identifies
the message in a mailbox, in the gateway's queue, or in clear text in a capture.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import docker
from docker.models.containers import Container

from lab import files, plan
from lab.commands import LabError
from lab.endpoints import gateway_container
from lab.prepare import peer_files

TOKEN = re.compile(r"t[0-9a-f]{16}@")
CLOCK_SECONDS = 5.0
"""How far the engine's clock may be behind this machine's."""
REPAIRED = "repaired"
PASS_THROUGH = "pass-through"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Message:
    """One message and its session; `chain`: the file with the client key inside the container."""

    id: str
    server: str
    port: int
    sender: str
    recipient: str
    text: str
    tls: str = "none"
    chain: str | None = None
    ehlo: str = "client.example"


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's last answer (`code` 0: the session broke), its step, and the TLS version."""

    id: str
    code: int
    answer: str
    step: str
    tls: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message in a mailbox. `tls`: the TLS version of its last hop, or `none`."""

    path: Path
    text: str
    tls: str


@dataclass(frozen=True, slots=True)
class Queued:
    """One recipient in the gateway's queue; `reason` is empty before the first attempt."""

    queue_id: str
    queue: str
    recipient: str
    reason: str


def new_token() -> str:
    """A new token of letters and digits, valid in a local part."""
    return f"t{secrets.token_hex(8)}"


def message_text(sender: str, recipient: str, token: str, header: str = "") -> str:
    """A whole message that contains the token."""
    extra = f"{header}\r\n" if header else ""
    return (
        f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: lab\r\n"
        f"Message-ID: <{token}@lab.example>\r\n{extra}\r\ntoken {token}\r\n"
    )


class Lab:
    """The lab's containers on the engine."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._since = time.time() - CLOCK_SECONDS

    def await_servers(self) -> None:
        """Wait until every mail server greets and the policies' web host accepts."""
        servers = [f"{peer.address}:25" for peer in plan.PEERS]
        servers += [f"{plan.INTERNAL_ADDRESS}:25", f"{plan.POLICY_ADDRESS}:443"]
        servers += [f"{plan.CA_ADDRESS}:{plan.ACME_MANAGEMENT_PORT}"]
        self.run("internal", "await-ports", *servers)

    def run(self, role: str, *command: str) -> str:
        """Run a command in one of the lab's containers; return its output."""
        return self._execute(plan.container_name(role), command)

    def submit(self, role: str, messages: Sequence[Message]) -> dict[str, Answer]:
        """Send messages in parallel from a container of the lab; returns id → answer."""
        brief = json.dumps([asdict(message) for message in messages])
        answers = json.loads(self.run(role, "submit", brief))
        return {answer["id"]: Answer(**answer) for answer in answers}

    def send(self, recipients: Iterable[tuple[str, str, str]]) -> None:
        """Submit mail to the internal server, which relays it through the gateway.

        `recipients`: (token, recipient, an additional header line or ""). Raises LabError if the
        internal server itself refuses one.
        """
        sender = "alice@corp.example"
        messages = [
            Message(token, "127.0.0.1", 25, sender, to, message_text(sender, to, token, header))
            for token, to, header in recipients
        ]
        refused = [one for one in self.submit("internal", messages).values() if one.code != 250]
        if refused:
            raise LabError(f"the internal server refused mail: {refused[0]}")

    def received(self, role: str, token: str) -> Received | None:
        """The message with this token in a role's mailbox, if it arrived after this start."""
        for path in (files.MAILBOXES / role / "new").glob("*"):
            if path.stat().st_mtime < self._since:
                continue
            text = path.read_text(errors="replace")
            if token in text:
                last_hop = text.partition("\nReceived:")[2].partition("\nReceived:")[0]
                version = re.search(r"using (TLSv[0-9.]+)", last_hop)
                return Received(path, text, version[1] if version else "none")
        return None

    def captured(self, peer: str, token: str) -> bool:
        """Whether the token was transferred in clear text at a peer's port 25."""
        capture = files.CAPTURES / f"{peer}.pcap"
        return token.encode() in capture.read_bytes()

    def queue(self) -> list[Queued]:
        """The gateway's queue, one entry for each recipient."""
        lines = self._execute(gateway_container("gateway"), ("postqueue", "-j")).splitlines()
        return [
            Queued(
                entry["queue_id"],
                entry["queue_name"],
                recipient["address"],
                recipient.get("delay_reason", ""),
            )
            for entry in map(json.loads, lines)
            for recipient in entry["recipients"]
        ]

    def flush(self) -> None:
        """Make the gateway attempt delivery of its whole queue now."""
        self._execute(gateway_container("gateway"), ("postqueue", "-f"))

    def delete_leftover_mail(self) -> None:
        """Delete mail of earlier runs of the lab from the gateway's queue, and nothing else."""
        self.delete({one.queue_id for one in self.queue() if TOKEN.match(one.recipient)})

    def delete(self, queue_ids: Collection[str]) -> None:
        """Delete messages from the gateway's queue."""
        gateway = gateway_container("gateway")
        for queue_id in queue_ids:
            self._execute(gateway, ("postsuper", "-d", queue_id))

    def gateway_log(self, *, since: float) -> str:
        """The gateway's log since a time, in seconds since 1970."""
        log = self._container(gateway_container("gateway")).logs(since=int(since))
        return log.decode(errors="replace") if isinstance(log, bytes) else ""

    def repair(self, name: str) -> None:
        """Give a peer correct TLS: modern versions and a certificate of the public CA."""
        peer = plan.BY_NAME[name]
        folder = files.PEERS / name
        for file, text in peer_files(peer, repaired=True).items():
            files.write(folder / file, text, secret=file.endswith(".pem"))
        files.write(folder / REPAIRED, "")
        if peer.transport is plan.Transport.STRIPPED:
            files.write(folder / PASS_THROUGH, "")
        self.apply(name)

    def undo_repair(self, name: str) -> None:
        """Undo `repair`; does nothing to a peer that was not repaired."""
        folder = files.PEERS / name
        if not (folder / REPAIRED).exists():
            return
        (folder / PASS_THROUGH).unlink(missing_ok=True)
        for file, text in peer_files(plan.BY_NAME[name]).items():
            files.write(folder / file, text, secret=file.endswith(".pem"))
        (folder / REPAIRED).unlink()
        self.apply(name)

    def apply(self, role: str) -> None:
        """Make a mail server of the lab reload its configuration."""
        self.run(role, "peer-apply", "reload")

    def stop_gateway(self, role: str) -> None:
        """Stop one of the gateway's containers."""
        self._container(gateway_container(role)).stop(timeout=5)

    def start_gateway(self, role: str) -> None:
        """Start it again."""
        self._container(gateway_container(role)).start()

    def _container(self, name: str) -> Container:
        return self._client.containers.get(name)

    def _execute(self, name: str, command: Sequence[str]) -> str:
        code, parts = self._container(name).exec_run(list(command), demux=True)
        out, err = (part.decode(errors="replace") if part else "" for part in _both(parts))
        if code != 0:
            raise LabError(f"{name}: `{command[0]}` failed with {code}: {err.strip() or out}")
        return out


def _both(parts: object) -> tuple[bytes | None, bytes | None]:
    """What `exec_run` really returns with `demux`; its type hints are wrong."""
    if not isinstance(parts, tuple):
        raise TypeError("the engine did not separate standard output and standard error")
    return parts
