"""Messages a second to a partner, against the same Postfix in plaintext and with plain STARTTLS.

Three gateways of the same image in turn, each beside the same sink, which is a Postfix that throws
everything away: the product's own configuration with 10,000 partners on the list; (a) Postfix as it
comes, relaying in plaintext; (b) the same with opportunistic TLS. Messages are handed in by
smtp-source inside the gateway's container, so that what is measured is gateway to sink with
everything on this one machine. The turns are repeated, and medians compared.
"""

from __future__ import annotations

import io
import re
import statistics
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import docker
from docker.models.containers import Container

from lab import pki
from lab.bench.line import line
from lab.bring_up import engine
from lab.commands import LabError
from lab.endpoints import gateway_container
from tlsgate.partners.model import Inbound, Mode, Outbound, Partner
from tlsgate.render.postfix import PostfixSettings, render_postfix
from tlsgate.render.postfix_settings import INTERNAL_PORT

COMMAND = "python -m lab.bench throughput"
MESSAGES = 3000
BYTES = 5000
TURNS = 6
PARTNERS = 10_000
DOMAIN = "p7.example"
HOST = "mx1.corp.example"
LABELS = {"tlsgate.lab": "bench"}
SECONDS = 300
LOG = "/var/log/mail.log"
ACTIVE, TLS = "/run/tlsgate/active", "/run/tlsgate/tls"

_ZONE = """\
server:
    username: ""
    chroot: ""
    directory: "/tmp"
    pidfile: ""
    use-syslog: no
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    module-config: "iterator"
    local-zone: "." static
    local-data: "{domain}. MX 10 mx.{domain}."
    local-data: "mx.{domain}. A {sink}"
"""
_SINK = """\
compatibility_level = 3.10
myhostname = mx.{domain}
inet_protocols = ipv4
maillog_file = /var/log/mail.log
mydestination =
local_recipient_maps =
relay_domains = {domain}
relay_transport = discard:
smtpd_recipient_restrictions = permit_auth_destination, reject
smtpd_tls_chain_files = /run/tlsgate/active/sink.pem
smtpd_tls_security_level = may
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
default_process_limit = 100
"""
_STOCK = """\
compatibility_level = 3.10
myhostname = {host}
inet_protocols = ipv4
maillog_file = {log}
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_loglevel = 1
smtp_tls_security_level = {level}
"""
_STOCK_LEVELS = {"plaintext": "none", "opportunistic": "may"}
_VARIANTS = ("verified", *_STOCK_LEVELS)
_CONNECTIONS = {"verified": {"Verified"}, "plaintext": set(), "opportunistic": {"Untrusted"}}
"""What Postfix logs of its connections to the sink; each variant has to be what it says."""
_LIMITS = {"plaintext": 1.0, "opportunistic": 1.5}


def measurements() -> Iterator[dict[str, Any]]:
    """Two ratios, of medians."""
    rates: dict[str, list[float]] = {name: [] for name in _VARIANTS}
    with _bench() as run:
        for turn in range(TURNS):
            # Each comes first, second and third as often: what one leaves to write is the next's.
            first = turn % len(_VARIANTS)
            for name in _VARIANTS[first:] + _VARIANTS[:first]:
                rates[name].append(run(name))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    more = {
        "messages": MESSAGES,
        "bytes": BYTES,
        "partners": PARTNERS,
        "messages_per_second": {k: [round(v) for v in values] for k, values in rates.items()},
    }
    for other, limit in _LIMITS.items():
        ratio = medians["verified"] / medians[other]
        name = f"throughput-against-{other}"
        yield line(name, ratio, "times", limit, COMMAND, least=True, **more)


@contextmanager
def _bench() -> Iterator[Callable[[str], float]]:
    """A sink, a name server, and what runs one variant: its messages a second."""
    client = engine()
    image = client.containers.get(gateway_container("gateway")).attrs["Image"]
    resolver = client.containers.get(gateway_container("resolver")).attrs["Image"]
    prefix = f"tlsgate-bench-{uuid.uuid4().hex[:6]}"
    network = client.networks.create(prefix, labels=LABELS)
    made: list[Container] = []
    authority = pki.new_authority("Bench CA")
    try:
        sink = _start(client, prefix, image, f"{prefix}-sink", made)
        pem = authority.issue([f"mx.{DOMAIN}"], pki.new_key()).pem()
        _put(sink, {"main.cf": _SINK.format(domain=DOMAIN), "sink.pem": pem})
        _run(sink, "cp", "/usr/share/postfix/master.cf.dist", f"{ACTIVE}/master.cf")
        _postfix(sink)
        names = _start(client, prefix, resolver, f"{prefix}-names", made)
        _put(names, {"unbound.conf": _ZONE.format(domain=DOMAIN, sink=_address(sink, prefix))})
        names.exec_run(["unbound", "-d", "-c", f"{ACTIVE}/unbound.conf"], detach=True)
        dns = _address(names, prefix)
        own = _own_files(authority.pem())
        host_pem = authority.issue([HOST], pki.new_key()).pem()

        def run(name: str) -> float:
            gateway = _start(client, prefix, image, f"{prefix}-{name}", made, dns=[dns])
            try:
                if name == "verified":
                    _configure(gateway, own, host_pem)
                    port = INTERNAL_PORT
                else:
                    _configure_stock(gateway, _STOCK_LEVELS[name])
                    port = 25
                _postfix(gateway)
                rate = _rate(gateway, port)
                _check_connections(gateway, name)
                return rate
            finally:
                made.remove(gateway)
                gateway.remove(force=True, v=True)

        yield run
    finally:
        for container in made:
            container.remove(force=True, v=True)
        network.remove()
        client.close()


def _own_files(root: str) -> dict[str, str]:
    files = render_postfix(_settings(root), _partners())
    # Not said twice: Postfix would take the last, but warn of it in every process, in postlogd too,
    # which then waits for itself.
    main = re.sub("(?m)^maillog_file = .*", f"maillog_file = {LOG}", files["main.cf"])
    return {**files, "main.cf": main}


def _configure(gateway: Container, files: Mapping[str, str], host_pem: str) -> None:
    _put(gateway, files)
    _put(gateway, {f"{HOST}.pem": host_pem}, TLS)
    for table in ("partner_policy", "partner_senders", "own_senders", "routes"):
        _run(gateway, "postmap", "-c", ACTIVE, f"lmdb:{ACTIVE}/{table}")


def _configure_stock(gateway: Container, level: str) -> None:
    _put(gateway, {"main.cf": _STOCK.format(host=HOST, log=LOG, level=level)})
    _run(gateway, "cp", "/usr/share/postfix/master.cf.dist", f"{ACTIVE}/master.cf")
    _run(gateway, "postconf", "-c", ACTIVE, "-F", "*/*/chroot=n")


def _rate(gateway: Container, port: int) -> float:
    source = f"smtp-source -s 10 -m {MESSAGES} -l {BYTES} -f a@corp.example -t b@{DOMAIN}"
    count = f"grep -c status=sent {LOG}"
    # One command in the container: to ask again and again from outside would cost the machine more
    # than what is measured.
    wait = f'until [ "$({count})" -ge {MESSAGES} ]; do sleep 0.2; done'
    begun = time.monotonic()
    _run(gateway, "timeout", str(SECONDS), "sh", "-c", f"{source} inet:127.0.0.1:{port}; {wait}")
    return MESSAGES / (time.monotonic() - begun)


def _check_connections(gateway: Container, name: str) -> None:
    words = _run(gateway, "sh", "-c", f"grep -o '[A-Z][a-z]* TLS connection est' {LOG} || :")
    seen = {word.split()[0] for word in words.splitlines()}
    if seen != _CONNECTIONS[name]:
        raise LabError(f"{name}: the connections to the sink were {sorted(seen)}")


def _settings(root: str) -> PostfixSettings:
    return PostfixSettings(
        host_name=HOST,
        domains=("corp.example",),
        internal_host="127.0.0.1",
        internal_networks=("127.0.0.0/8",),
        internal_tls_required=False,
        extra_ca=root,
    )


def _partners() -> list[Partner]:
    day = date(2026, 10, 1)
    return [
        Partner(
            name=f"P{number}",
            contact=f"postmaster@p{number}.example",
            agreed=day,
            review=date(2027, 10, 1),
            mode=Mode.ENFORCE,
            domains=(f"p{number}.example",),
            subdomains=True,
            outbound=Outbound(),
            inbound=Inbound(),
        )
        for number in range(PARTNERS)
    ]


def _start(
    client: docker.DockerClient,
    network: str,
    image: str,
    name: str,
    made: list[Container],
    **options: Any,
) -> Container:
    """A container that waits for what is run in it."""
    container: Container = client.containers.run(
        image,
        entrypoint=["sleep", str(TURNS * len(_VARIANTS) * SECONDS)],
        name=name,
        network=network,
        labels=LABELS,
        user="0",
        detach=True,
        **options,
    )
    made.append(container)
    _run(container, "mkdir", "-p", ACTIVE, TLS)
    return container


def _postfix(container: Container) -> None:
    """Start Postfix beside the container's own process, and wait for its greeting."""
    container.exec_run(["postfix", "-c", ACTIVE, "start-fg"], detach=True)
    wait = "until exec 3<>/dev/tcp/127.0.0.1/25; do sleep 0.1; done"
    _run(container, "timeout", "20", "bash", "-c", wait)


def _address(container: Container, network: str) -> str:
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])


def _put(container: Container, files: Mapping[str, str], folder: str = ACTIVE) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    container.put_archive(folder, buffer.getvalue())


def _run(container: Container, *command: str) -> str:
    code, output = container.exec_run(list(command))
    text = output.decode(errors="replace") if isinstance(output, bytes) else ""
    if code != 0:
        raise LabError(f"{container.name}: `{command[0]}` failed: {text[-500:]}")
    return text
