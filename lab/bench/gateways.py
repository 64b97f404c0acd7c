"""The gateways that benchmarks measure: the product's own, and Postfix with Debian's defaults.

Both write their log to LOG inside the container, so that the Docker engine does not process it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from docker.models.containers import Container

from lab import pki
from lab.bench.containers import Bench, background, put, run, until
from tlsgate.partners.model import Inbound, Mode, Outbound, Partner
from tlsgate.render.postfix import PostfixSettings, render_postfix

HOST = "mx1.corp.example"
OWN_DOMAIN = "corp.example"
LOG = "/var/log/mail.log"
ACTIVE = "/run/tlsgate/active"
MEMORY_LIMIT = "3072m"
"""The same value as in tlsgate_pulumi.gateway."""
START_SECONDS = 30.0

_NAMES = """\
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
"""
_STOCK = """\
compatibility_level = 3.10
myhostname = {host}
inet_protocols = ipv4
maillog_file = {log}
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8 {sender}
smtp_tls_CApath = /etc/ssl/certs
smtp_tls_loglevel = 1
smtp_tls_security_level = {level}
"""


def partners(count: int, hosted: Sequence[int] = (), host: str = "") -> list[Partner]:
    """A list of the partners p0.example, p1.example, …; `host` is the MX of those in `hosted`."""
    day = date(2026, 10, 1)
    own, others = Outbound(), Outbound(mx=(host,) if host else ())
    return [
        Partner(
            name=f"P{number}",
            contact=f"postmaster@{partner_domain(number)}",
            agreed=day,
            review=date(2027, 10, 1),
            mode=Mode.ENFORCE,
            domains=(partner_domain(number),),
            subdomains=True,
            outbound=others if number in hosted else own,
            inbound=Inbound(),
        )
        for number in range(count)
    ]


def partner_domain(number: int) -> str:
    """The domain of a partner."""
    return f"p{number}.example"


def name_server(records: Iterable[str]) -> str:
    """unbound.conf of a server that has only these records."""
    return _NAMES + "".join(f"    local-data: '{record}'\n" for record in records)


def start_names(bench: Bench, records: Iterable[str]) -> str:
    """Start a name server; return its address."""
    container = bench.start("names", "resolver")
    put(container, {"unbound.conf": name_server(records)}, "/party")
    background(container, ["unbound", "-d", "-c", "/party/unbound.conf"])
    return bench.address(container)


class Product:
    """The product's own configuration, in volumes like those of a stack."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._config, self._keys = bench.volume("config"), bench.volume("keys")

    def create_helper(self, names: str) -> Container:
        """The policy helper's container, not serving yet; `names`: the resolver's address."""
        return self._bench.start(
            "policy",
            "policy",
            volumes={self._config: {"bind": "/config", "mode": "ro"}},
            environment={"TLSGATE_RESOLVER": names},
        )

    def create_notices(self) -> Container:
        """The container of the notices' milter, not serving yet."""
        return self._bench.start(
            "notices", "notices", volumes={self._config: {"bind": "/config", "mode": "ro"}}
        )

    def install(
        self, settings: PostfixSettings, listed: Sequence[Partner], authority: pki.Authority
    ) -> None:
        """Deliver the configuration with the image's own job."""
        rendered = render_postfix(settings, listed)
        # Only once in the file: with two lines Postfix would warn in every process, also in
        # postlogd, which then waits for itself.
        main = re.sub("(?m)^maillog_file = .*", f"maillog_file = {LOG}", rendered["main.cf"])
        job = self._bench.start("install", volumes=self._mounts("rw"))
        run(job, "mkdir", "-p", "/incoming", f"/keys/{HOST}/generations/1")
        put(job, {**rendered, "main.cf": main}, "/incoming")
        command = ("install", "--kind", "postfix", "--from", "/incoming")
        run(job, "python3", "-m", "tlsgate.generation", *command)
        issued = authority.issue([HOST], pki.new_key())
        files = {"key.pem": pki.key_pem(issued.key), "fullchain.pem": issued.chain_pem()}
        put(job, files, f"/keys/{HOST}/generations/1")
        run(job, "ln", "-s", "generations/1", f"/keys/{HOST}/current")
        job.remove(force=True)

    def start(self, name: str, names: str) -> Container:
        """Start a gateway and wait until it greets; no mail is sent yet."""
        gateway = self._bench.start(
            name,
            volumes=self._mounts("ro"),
            dns=[names],
            mem_limit=MEMORY_LIMIT,
            memswap_limit=MEMORY_LIMIT,
        )
        background(gateway, ["/usr/local/bin/start"])
        _await_greeting(gateway)
        # The watcher reloads Postfix at its first check. That must not be measured.
        until(gateway, f"grep -q 'reload -- ' {LOG} || [ $SECONDS -ge 5 ]", START_SECONDS)
        return gateway

    def _mounts(self, mode: str) -> dict[str, dict[str, str]]:
        return {
            self._config: {"bind": "/config", "mode": mode},
            self._keys: {"bind": "/keys", "mode": mode},
        }


def serve(helper: Container) -> None:
    """Start the policy helper in its container and wait until it is healthy."""
    background(helper, ["python3", "-m", "tlsgate.policy", "serve"])
    until(helper, "python3 -m tlsgate.policy health", START_SECONDS)


def serve_notices(milter: Container) -> None:
    """Starts the notices' milter in its container: without it no bounce is made."""
    background(milter, ["python3", "-m", "tlsgate.notices", "serve"])
    until(milter, "python3 -m tlsgate.notices health", START_SECONDS)


def start_stock(bench: Bench, name: str, names: str, level: str, sender: str) -> Container:
    """Start Postfix with Debian's defaults, a TLS level, and relaying for the sender's address."""
    gateway = bench.start(name, dns=[names])
    run(gateway, "mkdir", "-p", ACTIVE)
    text = _STOCK.format(host=HOST, log=LOG, level=level, sender=sender)
    put(gateway, {"main.cf": text}, ACTIVE)
    run(gateway, "cp", "/usr/share/postfix/master.cf.dist", f"{ACTIVE}/master.cf")
    run(gateway, "postconf", "-c", ACTIVE, "-F", "*/*/chroot=n")
    start_postfix(gateway)
    return gateway


def start_postfix(container: Container) -> None:
    """Start Postfix in the container and wait until it greets."""
    background(container, ["postfix", "-c", ACTIVE, "start-fg"])
    _await_greeting(container)


def _await_greeting(container: Container) -> None:
    until(container, "(exec 3<>/dev/tcp/127.0.0.1/25) 2>/dev/null", START_SECONDS)
