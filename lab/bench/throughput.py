"""Messages per second to a partner, compared with Postfix in plaintext and with opportunistic TLS.

Three gateways of the same image run in turn. The sink is a Postfix that discards everything.
The gateways are: the product's own configuration with 10,000 partners on the list; (a) Postfix with
Debian's defaults, which relays in plaintext; (b) the same with opportunistic TLS. smtp-source
submits the messages from another container. Everything runs on one machine, but the processor time
is that of the gateway's container only. The turns are repeated, and medians are compared.

In each turn the product and (b) also send one message to each of 1,000 partners: no connection is
reused, and every message needs a handshake.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container

from lab import pki
from lab.bench.containers import Bench, bench, party, processor_seconds, put, run, until
from lab.bench.gateways import (
    ACTIVE,
    HOST,
    LOG,
    OWN_DOMAIN,
    Product,
    partner_domain,
    partners,
    start_names,
    start_postfix,
    start_stock,
)
from lab.bench.line import line
from lab.commands import LabError
from tlsgate.render.postfix import PostfixSettings
from tlsgate.render.postfix_settings import INTERNAL_PORT

COMMAND = "python -m lab.bench throughput"
MESSAGES = 3000
BYTES = 5000
TURNS = 6
PARTNERS = 10_000
DOMAIN = partner_domain(7)
SINK_HOST = f"mx.{DOMAIN}"
HOSTED = range(1000, 2000)
"""The partners that get one message each; all have the same MX host."""
SECONDS = 120

_SINK = """\
compatibility_level = 3.10
myhostname = {host}
inet_protocols = ipv4
maillog_file = {log}
mydestination =
local_recipient_maps =
relay_domains = static:all
relay_transport = discard:
smtpd_recipient_restrictions = permit_auth_destination, reject
smtpd_tls_chain_files = /run/tlsgate/active/sink.pem
smtpd_tls_security_level = may
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
default_process_limit = 100
"""
_STOCK_LEVELS = {"plaintext": "none", "opportunistic": "may"}
_VARIANTS = ("verified", *_STOCK_LEVELS)
_CONNECTIONS = {"verified": {"Verified"}, "plaintext": set(), "opportunistic": {"Untrusted"}}
"""Postfix's log words for the connections to the sink, to check that each variant is right."""
_LIMITS = {"plaintext": 1.0, "opportunistic": 1.5}
PROCESSOR_LIMIT = 1.05
HANDSHAKES_LIMIT = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """One turn of a variant: messages per second, and processor seconds per 1,000 messages.

    `handshakes`: messages per second with one message to each partner; None: not measured.
    """

    rate: float
    processor: float
    handshakes: float | None


@dataclass(frozen=True, slots=True)
class _World:
    bench: Bench
    product: Product
    names: str
    sender: Container
    sink: Container


def measurements() -> Iterator[dict[str, Any]]:
    """The ratios of the medians."""
    runs: dict[str, list[Run]] = {name: [] for name in _VARIANTS}
    with _world() as world:
        for turn in range(TURNS):
            # Each is first, second and third equally often: late disk writes of one slow the next.
            first = turn % len(_VARIANTS)
            for name in _VARIANTS[first:] + _VARIANTS[:first]:
                runs[name].append(_run(world, name))
    more: dict[str, Any] = {"messages": MESSAGES, "bytes": BYTES, "partners": PARTNERS}
    rates = {name: [one.rate for one in turns] for name, turns in runs.items()}
    processor = {name: [one.processor for one in turns] for name, turns in runs.items()}
    per_second = {name: [round(rate) for rate in values] for name, values in rates.items()}
    for other, limit in _LIMITS.items():
        ratio = _ratio(rates, other)
        name = f"throughput-against-{other}"
        yield line(
            name,
            ratio,
            "times",
            limit,
            COMMAND,
            least=True,
            **more,
            messages_per_second=per_second,
        )
    seconds = {name: [round(one, 2) for one in values] for name, values in processor.items()}
    yield line(
        "throughput-processor-against-plaintext",
        _ratio(processor, "plaintext"),
        "times",
        PROCESSOR_LIMIT,
        COMMAND,
        **more,
        against_opportunistic=round(_ratio(processor, "opportunistic"), 2),
        processor_seconds_per_1000=seconds,
    )
    handshakes = {
        name: [one.handshakes for one in turns if one.handshakes is not None]
        for name, turns in runs.items()
    }
    yield line(
        "throughput-handshakes-against-opportunistic",
        _ratio(handshakes, "opportunistic"),
        "times",
        HANDSHAKES_LIMIT,
        COMMAND,
        least=True,
        messages=len(HOSTED),
        bytes=BYTES,
        partners=PARTNERS,
        messages_per_second={
            name: [round(v) for v in values] for name, values in handshakes.items()
        },
    )


def _ratio(values: dict[str, list[float]], other: str) -> float:
    return statistics.median(values["verified"]) / statistics.median(values[other])


def _run(world: _World, name: str) -> Run:
    """Run one variant in a new container."""
    if name == "verified":
        gateway, port = world.product.start(name, world.names), INTERNAL_PORT
    else:
        address = world.bench.address(world.sender)
        level = _STOCK_LEVELS[name]
        gateway, port = start_stock(world.bench, name, world.names, level, address), 25
    try:
        target = world.bench.address(gateway), port
        before = processor_seconds(gateway)
        rate = _rate(world, target)
        processor = (processor_seconds(gateway) - before) / MESSAGES * 1000
        handshakes = None if name == "plaintext" else _handshakes(world, gateway, target)
        _check_connections(gateway, name)
        return Run(rate, processor, handshakes)
    except LabError as fault:
        raise LabError(f"{name}: {fault}; not sent: {_not_sent(gateway)}") from fault
    finally:
        gateway.remove(force=True, v=True)


def _rate(world: _World, target: tuple[str, int]) -> float:
    """Messages per second to one partner."""
    run(world.sink, "truncate", "-s", "0", LOG)
    source = f"smtp-source -s 10 -m {MESSAGES} -l {BYTES} -f a@{OWN_DOMAIN} -t b@{DOMAIN}"
    begun = time.monotonic()
    run(world.sender, "timeout", str(SECONDS), *source.split(), f"inet:{target[0]}:{target[1]}")
    _await_received(world, MESSAGES)
    return MESSAGES / (time.monotonic() - begun)


def _handshakes(world: _World, gateway: Container, target: tuple[str, int]) -> float:
    """Messages per second, one to each partner. Raises LabError if a connection was reused."""
    plan = {
        "host": target[0],
        "port": target[1],
        "rate": 0,
        "sessions": 10,
        "bytes": BYTES,
        "messages": [(f"a@{OWN_DOMAIN}", f"b@{partner_domain(number)}") for number in HOSTED],
    }
    put(world.sender, {"plan.json": json.dumps(plan)}, "/party")
    run(world.sink, "truncate", "-s", "0", LOG)
    before = _connections(gateway)
    begun = time.monotonic()
    party(world.sender, "send", "plan.json")
    _await_received(world, len(HOSTED))
    rate = len(HOSTED) / (time.monotonic() - begun)
    made = len(_connections(gateway)) - len(before)
    if made != len(HOSTED):
        raise LabError(f"{made} handshakes were made for {len(HOSTED)} messages")
    return rate


def _not_sent(gateway: Container) -> str:
    command = f"grep -v status=sent {LOG} | grep -m 3 -e status= -e warning: -e fatal: || :"
    return run(gateway, "sh", "-c", command).strip() or "nothing is logged"


def _await_received(world: _World, count: int) -> None:
    until(world.sink, f'[ "$(grep -c status=sent {LOG})" -ge {count} ]', SECONDS)


def _check_connections(gateway: Container, name: str) -> None:
    seen = set(_connections(gateway))
    if seen != _CONNECTIONS[name]:
        raise LabError(f"the connections to the sink were {sorted(seen)}")


def _connections(gateway: Container) -> list[str]:
    """The first word of Postfix's log line for each TLS connection to the sink."""
    # tlsproxy, if it is used, logs the same line again.
    command = f"grep -o '/smtp.*: [A-Z][a-z]* TLS connection established to' {LOG} || :"
    return [one.split()[-5] for one in run(gateway, "sh", "-c", command).splitlines()]


@contextmanager
def _world() -> Iterator[_World]:
    """A sink, a sender, a name server, and the product's configuration."""
    with bench() as made:
        authority = pki.new_authority("Bench CA")
        sink, sender = made.start("sink"), made.start("sender")
        run(sink, "mkdir", "-p", ACTIVE)
        pem = authority.issue([SINK_HOST], pki.new_key()).pem()
        put(sink, {"main.cf": _SINK.format(host=SINK_HOST, log=LOG), "sink.pem": pem}, ACTIVE)
        run(sink, "cp", "/usr/share/postfix/master.cf.dist", f"{ACTIVE}/master.cf")
        start_postfix(sink)
        domains = (DOMAIN, *map(partner_domain, HOSTED))
        records = [f"{domain}. MX 10 {SINK_HOST}." for domain in domains]
        names = start_names(made, [*records, f"{SINK_HOST}. A {made.address(sink)}"])
        product = Product(made)
        settings = PostfixSettings(
            host_name=HOST,
            domains=(OWN_DOMAIN,),
            internal_host=made.address(sink),
            internal_networks=(f"{made.address(sender)}/32",),
            internal_tls_required=False,
            extra_ca=authority.pem(),
        )
        product.install(settings, partners(PARTNERS, HOSTED, SINK_HOST), authority)
        yield _World(made, product, names, sender, sink)
