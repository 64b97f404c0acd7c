"""The gateway, the policy host and the scanners on a separate network."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import docker
from docker.models.containers import Container

from tests.integration.postfix.pki import Key, key_pem
from tests.integration.postfix.world import HOST, LABELS, MODERN, World, archive, partner, until
from tests.integration.scan.public_ca import PublicCa
from tlsgate.render.mta_sts import PolicySettings
from tlsgate.render.policy_host import PolicyHostSettings, render_policy_host

DOMAIN = "corp.example"
POLICY_HOST = f"mta-sts.{DOMAIN}"
SMTP_PORTS, HTTPS_PORT = (25, 2525), 443
PORTS = (*SMTP_PORTS, HTTPS_PORT)
BASE = os.environ.get("TLSGATE_BASE_IMAGE", "debian:trixie-slim")
TRUSTED_ROOT = "/scan/root.pem"


def scanner_image(client: docker.DockerClient) -> str:
    """Build the scanners' image; pip trusts the same CAs as this machine."""
    here, extra = Path(__file__).parent, os.environ.get("PIP_CERT")
    files = {name: (here / name).read_text() for name in ("Dockerfile", "requirements.txt")}
    files["extra-ca.crt"] = Path(extra).read_text() if extra else ""
    image, _ = client.images.build(
        fileobj=io.BytesIO(archive(files)),
        custom_context=True,
        tag="tg-scan-scanner",
        buildargs={"BASE_IMAGE": BASE},
        labels=LABELS,
        rm=True,
        forcerm=True,
    )
    return str(image.id)


class ScanWorld(World):
    """Like the world of the gateway's tests, but with a CA that looks like a public one."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        super().__init__(client, image)
        self.ca = PublicCa()

    def start(
        self, policy_host: str, scanner: str, folder: Path, new_key: Callable[[], Key]
    ) -> None:
        """Start everything from these images; `folder` gets the policy host's files."""
        self.add_peer("internal", MODERN, ["internal.example"], self.server_pem(["internal"]))
        self.add_peer("one", MODERN, ["one.example"], self.server_pem(["mx.one.example"]))
        self.add_names({}, {})
        key = new_key()
        self.put_certificate("1", key, self.ca.chain([HOST], key))
        # A partner at the strict level; `tls: compatible` would widen port 25 (docs/partners.md).
        self.deliver([partner("one")])
        self.start_gateway()
        self._start_policy_host(policy_host, folder, new_key())
        self._start_scanner(scanner)

    def host(self, port: int) -> str:
        """The name that a port's certificate is for."""
        return POLICY_HOST if port == HTTPS_PORT else HOST

    def scan(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in the scanners' container."""
        code, output = self.containers["scanner"].exec_run(list(command))
        assert isinstance(output, bytes)
        return code or 0, output.decode()

    def shell(self, script: str) -> str:
        """The output of a shell script in the scanners' container."""
        return self.scan("bash", "-c", script)[1]

    def _start_policy_host(self, image: str, folder: Path, key: Key) -> None:
        policy = PolicySettings("enforce", 86400, (HOST,))
        files = render_policy_host(PolicyHostSettings((DOMAIN,), policy))
        staged = {f"active/{name}": text for name, text in files.items()}
        staged |= {"https.conf": files["https.conf"]}
        staged |= {"tls/policy-1.pem": key_pem(key) + self.ca.chain([POLICY_HOST], key)}
        for name, text in staged.items():
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, newline="")
        folder.chmod(0o777)
        container = self._create(
            "policy-host",
            ["nginx", "-c", "/run/tlsgate/active/nginx.conf"],
            image=image,
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
            volumes={str(folder): {"bind": "/run/tlsgate"}},
        )
        container.start()

    def _start_scanner(self, image: str) -> None:
        container = self._create(
            "scanner",
            ["sleep", "infinity"],
            image=image,
            init=True,
            cap_drop=["ALL"],
            extra_hosts={
                HOST: self.address(self.gateway),
                POLICY_HOST: self.address(self.containers["policy-host"]),
            },
        )
        container.put_archive("/scan", archive({"root.pem": self.ca.pem}))
        container.start()
        until(lambda: self._answers(container), what="a policy host that answers")

    def _answers(self, container: Container) -> bool:
        probe = f"exec 3<>/dev/tcp/{POLICY_HOST}/{HTTPS_PORT}"
        return container.exec_run(["bash", "-c", probe]).exit_code == 0
