"""Starts the gateway's image, hardened as in production, and peers around it."""

from __future__ import annotations

import io
import json
import re
import smtplib
import ssl
import tarfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.models.containers import Container

from tests.integration.postfix.pki import Authority, Key, key_pem, new_key
from tlsgate.partners.model import ExceptionRule, Inbound, Mode, Outbound, Partner
from tlsgate.render.postfix import PostfixSettings, render_postfix
from tlsgate.tls import Strength

ROOT = Path(__file__).parents[3]
HOST = "mx1.corp.example"
LABELS = {"tlsgate.dev": "postfix"}
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"]
MODERN, OLD, NONE = "modern", "old", "none"
T = TypeVar("T")


def partner(
    name: str,
    *,
    outbound: Outbound = Outbound(),  # noqa: B008  # frozen
    inbound: Inbound = Inbound(),  # noqa: B008
    subdomains: bool = True,
    mode: Mode = Mode.ENFORCE,
    tls: Strength = Strength.STRONG,
    exceptions: tuple[ExceptionRule, ...] = (),
) -> Partner:
    """A record for the domain `<name>.example`."""
    day = date(2026, 10, 1)
    return Partner(
        name=name.title(),
        contact=f"postmaster@{name}.example",
        agreed=day,
        review=date(2027, 10, 1),
        mode=mode,
        tls=tls,
        domains=(f"{name}.example",),
        subdomains=subdomains,
        outbound=outbound,
        inbound=inbound,
        exceptions=exceptions,
    )


def archive(files: Mapping[str, str], *, uid: int = 0, mode: int = 0o644) -> bytes:
    """A tar archive for `put_archive`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mode = len(text.encode()), uid, uid, mode
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def until(look: Callable[[], T], seconds: float = 20.0, what: str = "it") -> T:
    """The first true value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if value := look():
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.1)


@dataclass(frozen=True)
class Delivery:
    """The gateway's log entry for one recipient."""

    status: str
    relay: str
    text: str


class World:
    """A network with peers and one gateway, created for each test module."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        self.client, self.image = client, image
        self.prefix = f"tg-postfix-{uuid.uuid4().hex[:6]}"
        self.network = client.networks.create(self.prefix, labels=LABELS)
        self.volumes = {
            name: client.volumes.create(f"{self.prefix}-{name}", labels=LABELS).name
            for name in ("config", "keys", "queue", "data", "state")
        }
        self.authority, self.stranger = Authority(), Authority("stranger")
        self.stranger_key = new_key()
        self.zone: dict[str, dict[str, list[str]]] = {}
        self.containers: dict[str, Container] = {}
        self._names: dict[str, Any] = {}

    # Peers

    def add_peer(
        self, name: str, tls: str, domains: Sequence[str], pem: str = "", **settings: str
    ) -> Container:
        """A mail server that is MX of `domains` under its own name `mx.<first domain>`."""
        container = self._create(name, ["python3", "/peer/peer.py", "mail"])
        self._put_peer(container, {"tls": tls, **settings}, pem)
        container.start()
        for domain in domains:
            self.zone[domain] = {"MX": [f"mx.{domains[0]}"]}
        self.zone[f"mx.{domains[0]}"] = {"A": [self.address(container)]}
        return container

    def add_names(self, policies: Mapping[str, str], partners: Mapping[str, str]) -> None:
        """The name server and the stub of the policy helper; needs all peers.

        `policies`: what domains publish. `partners`: key → policy, of the partners' rules.
        """
        container = self._create("policy", ["python3", "/peer/peer.py", "names"])
        self._names = {
            "zone": self.zone,
            "policies": dict(policies),
            "partners": dict(partners),
        }
        self._put_peer(container, self._names, "")
        container.start()

    def add_helper(self, image: str) -> Container:
        """The real policy helper, as in a stack; its host name is `helper`."""
        container = self._create(
            "helper",
            None,
            image=image,
            environment={"TLSGATE_RESOLVER": self.address(self.containers["policy"])},
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit="512m",
            volumes={
                self.volumes["config"]: {"bind": "/config", "mode": "ro"},
                self.volumes["state"]: {"bind": "/state"},
            },
        )
        container.start()
        until(self.helped, what="a healthy policy helper")
        return container

    def helped(self) -> bool:
        """The policy helper's own health check."""
        command = ["python3", "-m", "tlsgate.policy", "health"]
        return self.containers["helper"].exec_run(command).exit_code == 0

    def observations(self) -> dict[str, Any]:
        """The policy helper's counts."""
        command = ["python3", "-m", "tlsgate.policy", "observations"]
        code, output = self.containers["helper"].exec_run(command)
        assert code == 0, output
        assert isinstance(output, bytes)
        return dict(json.loads(output))

    def publish(self, zone: Mapping[str, dict[str, list[str]]]) -> None:
        """Change what the name server answers."""
        self.zone |= zone
        self._names["zone"] = self.zone
        container = self.containers["policy"]
        self._put_peer(container, self._names, "")
        container.restart(timeout=0)

    def know_client(self, pin: str) -> None:
        """Start the stub of the policy helper, which accepts this client key."""
        self._put_peer(self.containers["policy"], {**self._names, "pin": pin}, "")

    def know_zone(self) -> None:
        """Restart the name server with the present zone."""
        container = self.containers["policy"]
        self._put_peer(container, self._names, "")
        container.restart(timeout=0)

    def server_pem(self, names: Sequence[str]) -> str:
        """Key and certificate of the tests' CA."""
        key = new_key()
        return key_pem(key) + self.authority.issue(names, key=key)

    def received(self, name: str) -> list[dict[str, Any]]:
        """The messages that a peer received, in order."""
        log = self.containers[name].logs().decode()
        return [json.loads(line) for line in log.splitlines() if line.startswith("{")]

    # The gateway

    def settings(self, **changes: Any) -> PostfixSettings:
        """The gateway's settings; the internal networks are this network."""
        values: dict[str, Any] = {
            "host_name": HOST,
            "domains": ("corp.example", "brand.example"),
            "internal_host": self.address(self.containers["internal"]),
            "internal_networks": (self.subnet(),),
            "extra_ca": self.authority.pem,
            "retry_shortest": "2s",
            "retry_longest": "4s",
        }
        return PostfixSettings(**(values | changes))

    def deliver(
        self, partners: Sequence[Partner], *, fails: bool = False, **changes: Any
    ) -> dict[str, Any]:
        """Run a delivery job; return the JSON that it printed, or with `fails` its error."""
        return self.deliver_files(render_postfix(self.settings(**changes), partners), fails=fails)

    def deliver_files(self, files: Mapping[str, str], *, fails: bool = False) -> dict[str, Any]:
        """Like `deliver`, for any files."""
        command = ["python3", "-m", "tlsgate.generation", "install"]
        return self.job([*command, "--kind", "postfix", "--from", "/incoming"], files, fails=fails)

    def job(
        self, command: Sequence[str], files: Mapping[str, str] | None = None, *, fails: bool = False
    ) -> dict[str, Any]:
        """Run a container without any capability until it ends."""
        container = self.client.containers.create(
            self.image,
            list(command),
            entrypoint=[],
            name=f"{self.prefix}-job-{uuid.uuid4().hex[:6]}",
            labels=LABELS,
            read_only=True,
            tmpfs={"/run": "", "/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            volumes={
                self.volumes["config"]: {"bind": "/config"},
                f"{self.prefix}-in-{uuid.uuid4().hex[:6]}": {"bind": "/incoming"},
            },
            network_disabled=True,
        )
        incoming = next(m for m in container.attrs["Mounts"] if m["Destination"] == "/incoming")
        try:
            container.put_archive("/incoming", archive(files or {}))
            container.start()
            code = container.wait(timeout=60)["StatusCode"]
            errors = container.logs(stdout=False, stderr=True).decode()
            assert (code != 0) == fails, errors
            if fails:
                return {"reason": errors.strip()}
            result: dict[str, Any] = json.loads(container.logs(stderr=False, stdout=True))
            return result
        finally:
            container.remove(force=True)
            self.client.volumes.get(incoming["Name"]).remove()

    def put_certificate(self, generation: str, key: Key, chain: str) -> None:
        """Like the agent: write a new generation of the host's certificate, then switch to it."""
        files = {"key.pem": key_pem(key), "fullchain.pem": chain}
        script = (
            f"mkdir -p /keys/{HOST}/generations/{generation} && "
            f"cp /incoming/* /keys/{HOST}/generations/{generation}/ && "
            f"ln -sfn generations/{generation} /keys/{HOST}/new && "
            f"mv -T /keys/{HOST}/new /keys/{HOST}/current"
        )
        container = self.client.containers.create(
            self.image,
            ["sh", "-c", script],
            entrypoint=[],
            labels=LABELS,
            name=f"{self.prefix}-agent",
            volumes={self.volumes["keys"]: {"bind": "/keys"}},
            network_disabled=True,
        )
        try:
            container.put_archive("/", archive({f"incoming/{n}": t for n, t in files.items()}))
            container.start()
            assert container.wait(timeout=60)["StatusCode"] == 0, container.logs()
        finally:
            container.remove(force=True)

    def start_gateway(self, *, wait: bool = True) -> Container:
        """Start the container as a stack does."""
        names = self.address(self.containers["policy"])
        container = self._create(
            "gateway",
            None,
            hostname=HOST,
            dns=[names],
            read_only=True,
            tmpfs={"/run": "", "/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            cap_add=CAPABILITIES,
            security_opt=["no-new-privileges:true"],
            volumes={
                self.volumes["config"]: {"bind": "/config", "mode": "ro"},
                self.volumes["keys"]: {"bind": "/keys", "mode": "ro"},
                self.volumes["queue"]: {"bind": "/var/spool/postfix"},
                self.volumes["data"]: {"bind": "/var/lib/postfix"},
            },
        )
        container.start()
        if wait:
            until(self.healthy, what="a healthy gateway")
        return container

    @property
    def gateway(self) -> Container:
        return self.containers["gateway"]

    def healthy(self) -> bool:
        """The container's own health check."""
        code, _ = self.run("python3", "-m", "tlsgate.generation", "health", "--kind", "postfix")
        return code == 0

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command inside the gateway's container."""
        code, output = self.gateway.exec_run(list(command))
        assert isinstance(output, bytes)
        return code or 0, output.decode()

    def switch(self, partners: Sequence[Partner], **changes: Any) -> str:
        """Deliver, and wait until the gateway has activated it."""
        name = str(self.deliver(partners, **changes)["generation"])
        code, text = self.run("python3", "-m", "tlsgate.generation", "await", name)
        assert code == 0, text
        return name

    def log(self) -> str:
        return self.gateway.logs().decode()

    def events(self, event: str) -> list[dict[str, Any]]:
        """The watcher's events."""
        lines = (json.loads(li) for li in self.log().splitlines() if li.startswith('{"event"'))
        return [line for line in lines if line["event"] == event]

    def deliveries(self, recipient: str) -> list[Delivery]:
        """All attempts for a recipient so far."""
        found = re.finditer(
            rf"to=<{re.escape(recipient)}>.*? relay=(\S+?), .*?status=(\w+) \((.*)\)$",
            self.log(),
            re.M,
        )
        return [Delivery(match[2], match[1], match[3]) for match in found]

    def outcome(self, recipient: str) -> Delivery:
        """The first attempt."""
        return until(lambda: self.deliveries(recipient), what=f"delivery to {recipient}")[0]

    # Clients

    def session(
        self, port: int = 25, *, tls: bool = True, client: Path | None = None, suite: str = ""
    ) -> smtplib.SMTP:
        """An SMTP session from this machine, after EHLO and, with `tls`, STARTTLS.

        `client`: its key and certificate. `suite`: its only suite of TLS 1.2.
        """
        session = smtplib.SMTP(self.address(self.gateway), port, timeout=30)
        session.ehlo("client.example")
        if tls:
            context = ssl.create_default_context(cadata=self.authority.pem)
            context.check_hostname = False
            if client:
                context.load_cert_chain(client)
            if suite:
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers(suite)
            session.starttls(context=context)
            session.ehlo("client.example")
        return session

    def send(self, *recipients: str, headers: str = "") -> None:
        """Send a message through the internal listener, one transaction for each recipient."""
        with self.session(2525) as session:
            for recipient in recipients:
                session.sendmail(
                    "sender@corp.example", [recipient], f"Subject: test\r\n{headers}\r\ntext\r\n"
                )

    # The engine

    def address(self, container: Container) -> str:
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"]
        return str(networks[self.prefix]["IPAddress"])

    def subnet(self) -> str:
        self.network.reload()
        return str(self.network.attrs["IPAM"]["Config"][0]["Subnet"])

    def _create(self, name: str, command: list[str] | None, **options: Any) -> Container:
        image = options.pop("image", self.image)
        environment = {"PYTHONUNBUFFERED": "1", **options.pop("environment", {})}
        container = self.client.containers.create(
            image,
            command,
            name=f"{self.prefix}-{name}",
            labels=LABELS,
            network=self.prefix,
            networking_config={self.prefix: self.client.api.create_endpoint_config(aliases=[name])},
            entrypoint=[] if command else None,
            environment=environment,
            **options,
        )
        self.containers[name] = container
        return container

    def _put_peer(self, container: Container, settings: Mapping[str, Any], pem: str) -> None:
        files = {
            "peer/peer.py": Path(__file__).with_name("peer.py").read_text(),
            "peer/settings.json": json.dumps(settings),
            "peer/server.pem": pem,
        }
        container.put_archive("/", archive(files))

    def close(self) -> None:
        """Removes everything."""
        for container in self.containers.values():
            container.remove(force=True, v=True)
        for name in self.volumes.values():
            self.client.volumes.get(name).remove(force=True)
        self.network.remove()
