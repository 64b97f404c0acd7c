"""A real Knot DNS server in a container, hardened, with a wide and a narrow TSIG key."""

from __future__ import annotations

import base64
import io
import os
import secrets
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.models.containers import Container
from docker.models.networks import Network

from tlsgate.dns.errors import DnsError
from tlsgate.dns.server import NameServer
from tlsgate.dns.tsig import TsigKey

IMAGE_FOLDER = Path(__file__).parents[3] / "lab/images/dns"
LABELS = {"tlsgate.dev": "dns-tests"}
ALGORITHM = "hmac-sha256"
ZONES = ("corp.example", "brand.example")

_CONFIG = """
server:
    listen: 0.0.0.0@53
    rundir: /run/knot
database:
    storage: /var/lib/knot
log:
  - target: stdout
    any: info
key:
{keys}
acl:
  - id: wide
    key: wide
    action: update
  - id: narrow-challenge
    key: narrow
    action: update
    update-type: TXT
    update-owner: name
    update-owner-match: pattern
    update-owner-name: [_acme-challenge, "_acme-challenge.*"]
  - id: narrow-tlsa
    key: narrow
    action: update
    update-type: TLSA
  - id: nobody
    address: 192.0.2.1
    action: transfer
policy:
  - id: signed
    single-type-signing: on
    algorithm: ecdsap256sha256
template:
  - id: default
    storage: /var/lib/knot
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    dnssec-signing: on
    dnssec-policy: signed
    acl: [wide, narrow-challenge, narrow-tlsa]
zone:
{zones}
  - domain: locked.example
    acl: nobody
"""
_ZONE = """\
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
*.wild A 192.0.2.80
sub NS ns.other.example.
"""


@dataclass(frozen=True, slots=True)
class Knot:
    """A running server; `wide` may write everything, `narrow` only challenges and TLSA sets."""

    container: Container
    address: str
    wide: TsigKey
    narrow: TsigKey

    def server(self, key: TsigKey | None = None) -> NameServer:
        """The server as a NameServer with the wide key, or another."""
        return NameServer(self.address, 53, key or self.wide, timeout=10)


Start = Callable[[Sequence[str]], AbstractContextManager[Knot]]
"""Runs a server with these zones."""


def new_key(name: str) -> TsigKey:
    """Return a key with a new secret."""
    return TsigKey(name, ALGORITHM, secrets.token_bytes(32))


def key_text(key: TsigKey) -> str:
    """Return the key in the form of a key file."""
    secret = base64.b64encode(key.secret).decode()
    return f'key "{key.name}" {{\n  algorithm {key.algorithm};\n  secret "{secret}";\n}};\n'


def build(client: docker.DockerClient) -> str:
    """Build the lab's image of the name server; returns its id."""
    image, _ = client.images.build(
        path=str(IMAGE_FOLDER),
        tag="tg-dns-test",
        buildargs={"BASE_IMAGE": os.environ.get("TLSGATE_BASE_IMAGE", "debian:trixie-slim")},
        labels=LABELS,
        rm=True,
        forcerm=True,
    )
    return str(image.id)


@contextmanager
def network(client: docker.DockerClient) -> Iterator[Network]:
    """A bridge network for the tests."""
    made = client.networks.create(f"tg-dns-{secrets.token_hex(4)}", labels=LABELS)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def running(
    client: docker.DockerClient, image: str, net: Network, zones: Sequence[str] = ZONES
) -> Iterator[Knot]:
    """Run a server with the zones, signed and dynamic, until the block ends."""
    wide, narrow = new_key("wide"), new_key("narrow")
    container = client.containers.create(
        image,
        entrypoint=["knotd", "-c", "/etc/knot/knot.conf"],
        name=f"tg-dns-{secrets.token_hex(4)}",
        labels=LABELS,
        network=net.name,
        user="knot",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="512m",
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        tmpfs={"/tmp": "", "/run/knot": "mode=1777"},  # noqa: S108  # the container's own
        volumes=["/etc/knot", "/var/lib/knot"],
    )
    try:
        container.put_archive("/etc/knot", _packed({"knot.conf": _config(zones, wide, narrow)}))
        first = {f"{zone}.zone": _ZONE for zone in (*zones, "locked.example")}
        container.put_archive("/var/lib/knot", _packed(first))
        container.start()
        container.reload()
        address = container.attrs["NetworkSettings"]["Networks"][net.name]["IPAddress"]
        made = Knot(container, address, wide, narrow)
        _await(made, zones)
        yield made
    finally:
        container.remove(force=True, v=True)


def _config(zones: Sequence[str], *keys: TsigKey) -> str:
    listed = "".join(
        f"  - id: {key.name}\n    algorithm: {key.algorithm}\n"
        f"    secret: {base64.b64encode(key.secret).decode()}\n"
        for key in keys
    )
    return _CONFIG.format(keys=listed, zones="\n".join(f"  - domain: {zone}" for zone in zones))


def _packed(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _await(knot: Knot, zones: Sequence[str]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            for zone in zones:
                knot.server().check(zone)
        except DnsError as error:
            if time.monotonic() > deadline:
                log = knot.container.logs().decode()
                raise AssertionError(f"Knot did not start: {error}\n{log}") from error
            time.sleep(0.1)
        else:
            return
