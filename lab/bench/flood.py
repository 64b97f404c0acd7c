"""How attacks from outside affect a partner's mail and an honest client of port 25.

`python -m lab.bench.flood` prints JSON lines; `--only bounces` runs only one attack. The
gateway is configured like a stack's, with 10,000 partners and the policy helper. All servers are in
the run's network. Each attack gets a new gateway, and its result is compared with the same messages
to partners just before the attack:

| attack  | what happens                                                                 |
| ------- | ---------------------------------------------------------------------------- |
| bounces | messages from outside bounce to an MX that sleeps at EHLO                    |
| sts     | mail to many destinations whose MTA-STS host takes the connection and hangs  |
| hung    | the policy helper is stopped, and mail to others waits for it                |
| dead    | the policy helper is killed and stays down, and mail to others waits for it  |
| slow    | 400 connections from 8 addresses that are silent, or rarely send a byte      |
| reload  | the same, but they begin while Postfix reloads                               |

A delivery lasts from the gateway's answer to the message until the partner's server has all of it.
`memory` measures the gateway's memory with every process of port 25 in the middle of a message.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from docker.models.containers import Container

from lab import pki
from lab.bench.containers import Bench, Memory, bench, memory, party, put, run
from lab.bench.flood_plan import (
    PARTNER_HOST,
    PARTNERS,
    Attack,
    Message,
    attacks,
    delays,
    measured,
    percentile,
    records,
)
from lab.bench.gateways import (
    ACTIVE,
    HOST,
    OWN_DOMAIN,
    Product,
    partners,
    serve,
    serve_notices,
    start_names,
)
from lab.bench.line import line
from lab.commands import LabError
from tlsgate.render.postfix import PostfixSettings
from tlsgate.render.postfix_settings import INTERNAL_PORT

COMMAND = "python -m lab.bench.flood"
LISTED = 10_000
MESSAGES = 48
WARM_UP = 8
"""Messages before the first measured one: the first ones are slow, because processes start."""
RATE = 4.0
"""Measured messages per second."""
BYTES = 5000
SENDER_SESSIONS = 20
SETTLE_SECONDS = 30.0
"""How long to wait for mail to partners after the last message."""
RATIO_LIMIT, SECONDS_LIMIT = 2.0, 3.0
SLOW, SLOW_ADDRESSES = 400, 8
GREETINGS = 24
GREETING_LIMIT = 2.0
SESSIONS = 300
"""As many processes as port 25 has."""
MEMORY_LIMIT = 3072
LOG = "/party/log"


@dataclass(frozen=True, slots=True)
class Sizes:
    """`messages`: measured messages in each phase; `scale`: factor for the attacks' messages."""

    messages: int = MESSAGES
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the gateway. `names`: the resolver's address."""

    bench: Bench
    product: Product
    names: str
    inside: Container
    outside: Container
    partner: Container
    silent: Container
    helper: Container


@dataclass(frozen=True, slots=True)
class Phase:
    """The measured delays in seconds. `accepting`: until the gateway's answer."""

    delivery: float
    longest: float
    accepting: float
    waiting: int
    peak: Memory

    def to_dict(self) -> dict[str, Any]:
        """The values for the JSON line."""
        return {
            "p95": round(self.delivery, 3),
            "longest": round(self.longest, 3),
            "accepting_p95": round(self.accepting, 3),
            "waiting": self.waiting,
        }


def measurements(names: Sequence[str] = (), sizes: Sizes = Sizes()) -> Iterator[dict[str, Any]]:
    """One line for each attack, its p95 compared with that without it; then greetings, memory.

    `names`: only these. Raises LabError if an attack did not take place.
    """
    chosen = {attack.name: attack for attack in attacks(sizes.scale)}
    with _world() as world:
        for name, attack in chosen.items():
            if not names or name in names:
                yield _attacked(world, attack, sizes.messages)
        for name in ("slow", "reload"):
            if not names or name in names:
                yield _slow(world, name)
        if not names or "memory" in names:
            yield _memory(world)


def _attacked(world: World, attack: Attack, count: int) -> dict[str, Any]:
    with _gateway(world, attack.name) as gateway:
        _phase(world, gateway, WARM_UP)
        without = _phase(world, gateway, count)
        seen = len(_lines(world.silent, LOG))
        if attack.helper == "hung":
            world.helper.pause()
        elif attack.helper == "dead":
            world.helper.kill()
        attacker, port = (world.outside, 25) if attack.outside else (world.inside, INTERNAL_PORT)
        target = world.bench.address(gateway), port
        _send(attacker, "attack", target, messages=attack.messages, rate=attack.rate)
        during = _phase(world, gateway, count)
        if attack.helper == "hung":
            world.helper.unpause()
        taken = [one for one in _lines(attacker, "/party/attack.out") if "at" in one]
        held = len(_lines(world.silent, LOG)) - seen
    if len(taken) < len(attack.messages) or not (held or attack.helper):
        raise LabError(
            f"{attack.name} was no attack: {len(taken)} of {len(attack.messages)} messages were"
            f" taken, and {held} connections held"
        )
    ratio = during.delivery / without.delivery
    return {
        **line(f"flood-{attack.name}", ratio, "times", RATIO_LIMIT, _command(attack.name)),
        "ok": ratio <= RATIO_LIMIT and during.delivery < SECONDS_LIMIT,
        "goal": f"p95 at most {RATIO_LIMIT:g} times that without, and under {SECONDS_LIMIT:g} s",
        "attack": f"{len(attack.messages)} {attack.title}",
        "without": without.to_dict(),
        "during": during.to_dict(),
        "connections_held": held,
        "memory_mib": round(during.peak.used),
        "memory_anonymous_mib": round(during.peak.anonymous),
    }


def _phase(world: World, gateway: Container, count: int) -> Phase:
    """Send messages to partners at a constant rate, and return their delays."""
    messages = measured(count)
    run(world.partner, "truncate", "-s", "0", LOG)
    target = world.bench.address(gateway), INTERNAL_PORT
    _send(world.inside, "measured", target, messages=messages, rate=RATE)
    peak = Memory(0, 0)
    end = time.time() + count / RATE + SETTLE_SECONDS
    while True:
        peak = max(peak, memory(gateway), key=lambda one: one.used)
        answers = _lines(world.inside, "/party/measured.out")
        received = {one["recipient"]: one["at"] for one in _lines(world.partner, LOG)}
        if (len(answers) == count and len(received) == count) or time.time() > end:
            break
        time.sleep(1)
    if faults := [one["fault"] for one in answers if "fault" in one]:
        raise LabError(f"the gateway did not take mail to partners: {faults[0]}")
    accepted = {one["recipient"]: one["at"] for one in answers}
    seconds, waiting = delays(accepted, received, time.time())
    return Phase(
        percentile(seconds, 95),
        max(seconds),
        percentile([one["seconds"] for one in answers], 95),
        waiting,
        peak,
    )


def _slow(world: World, name: str) -> dict[str, Any]:
    """`slow`, or `reload`: the same while Postfix reloads, as it does for each new list."""
    clients = [world.outside]
    clients += [world.bench.start(f"{name}{number}") for number in range(1, SLOW_ADDRESSES)]
    honest = world.bench.start(f"{name}-honest")
    with _gateway(world, name) as gateway:
        address = world.bench.address(gateway)
        without = _greetings(honest, address)
        for client in clients:
            party(client, "slow", address, str(SLOW // SLOW_ADDRESSES), output=f"/party/{name}.out")
            if name == "reload":
                run(gateway, "postfix", "-c", ACTIVE, "reload")
        time.sleep(3)
        during = _greetings(honest, address)
        connections = sum(len(_lines(client, f"/party/{name}.out")) for client in clients)
        busy = _processes(gateway, "smtpd")
    for container in (*clients[1:], honest):
        container.remove(force=True)
    seconds = [one["seconds"] for one in during]
    before = [one["seconds"] for one in without]
    attack = f"{SLOW} slow connections from {SLOW_ADDRESSES} addresses"
    return line(
        f"flood-{name}",
        max(seconds),
        "s",
        GREETING_LIMIT,
        _command(name),
        goal=f"an honest client is greeted in under {GREETING_LIMIT:g} s",
        attack=attack + (" that begin while Postfix reloads" if name == "reload" else ""),
        without={"p95": round(percentile(before, 95), 3), "longest": round(max(before), 3)},
        during={"p95": round(percentile(seconds, 95), 3), "longest": round(max(seconds), 3)},
        ratio=round(percentile(seconds, 95) / percentile(before, 95), 2),
        not_greeted=sum(not one["greeted"] for one in during),
        connections_made=connections,
        smtpd_processes=busy,
    )


def _greetings(honest: Container, address: str) -> list[dict[str, Any]]:
    run(honest, "sh", "-c", f"cd /party; python3 party.py greet {address} {GREETINGS} >greet.out")
    return _lines(honest, "/party/greet.out")


def _memory(world: World) -> dict[str, Any]:
    with _gateway(world, "memory") as gateway:
        idle = memory(gateway)
        target = ("sessions", world.bench.address(gateway), str(SESSIONS), f"b@{OWN_DOMAIN}")
        # From the internal network, which has no limit of connections per address.
        party(world.inside, *target, output="/party/sessions.out")
        end = time.time() + 90
        while not any("held" in one for one in _lines(world.inside, "/party/sessions.out")):
            if time.time() > end:
                raise LabError("the sessions could not be opened")
            time.sleep(1)
        full, busy = memory(gateway), _processes(gateway, "smtpd")
        held = _lines(world.inside, "/party/sessions.out")[-1]["held"]
    return line(
        "gateway-memory",
        full.used,
        "MiB",
        MEMORY_LIMIT,
        _command("memory"),
        goal=f"{SESSIONS} sessions over TLS fit in the container's {MEMORY_LIMIT} MiB",
        anonymous_mib=round(full.anonymous),
        idle_mib=round(idle.used),
        sessions_held=held,
        smtpd_processes=busy,
        mib_a_session=round((full.used - idle.used) / max(1, held), 2),
    )


@contextmanager
def _world() -> Iterator[World]:
    with bench() as made:
        inside, outside = made.start("inside"), made.start("outside")
        partner, other, silent = (made.start(name) for name in ("partner", "other", "silent"))
        authority = pki.new_authority("Bench CA")
        pem = authority.issue([PARTNER_HOST], pki.new_key()).pem()
        for server in (partner, other):
            put(server, {"server.pem": pem}, "/party")
        party(partner, "mail", output=LOG)
        party(other, "mail", "--refuse", OWN_DOMAIN)
        party(silent, "silent", "25", "443", output=LOG)
        names = start_names(made, records(*map(made.address, (partner, other, silent))))
        product = Product(made)
        helper, milter = product.create_helper(names), product.create_notices()
        settings = PostfixSettings(
            host_name=HOST,
            domains=(OWN_DOMAIN,),
            internal_host=made.address(other),
            internal_networks=(f"{made.address(inside)}/32",),
            internal_tls_required=False,
            extra_ca=authority.pem(),
            policy_host=made.address(helper),
            notices_host=made.address(milter),
        )
        product.install(settings, partners(LISTED, range(PARTNERS), PARTNER_HOST), authority)
        serve(helper)
        serve_notices(milter)
        yield World(made, product, names, inside, outside, partner, silent, helper)


@contextmanager
def _gateway(world: World, name: str) -> Iterator[Container]:
    gateway = world.product.start(f"gateway-{name}", world.names)
    try:
        yield gateway
    finally:
        gateway.remove(force=True, v=True)


def _send(
    sender: Container,
    name: str,
    target: tuple[str, int],
    *,
    messages: Sequence[Message],
    rate: float,
) -> None:
    """Start sending; the result of each message is in /party/NAME.out."""
    plan = {
        "host": target[0],
        "port": target[1],
        "rate": rate,
        "sessions": SENDER_SESSIONS,
        "bytes": BYTES,
        "messages": messages,
    }
    put(sender, {f"{name}.json": json.dumps(plan), f"{name}.out": ""}, "/party")
    party(sender, "send", f"{name}.json", output=f"/party/{name}.out")


def _lines(container: Container, path: str) -> list[dict[str, Any]]:
    """The output of a role so far."""
    text = run(container, "cat", path)
    return [json.loads(one) for one in text.splitlines() if one.endswith("}")]


def _processes(container: Container, name: str) -> int:
    return int(run(container, "sh", "-c", f"grep -lx {name} /proc/[0-9]*/comm | wc -l"))


def _command(name: str) -> str:
    return f"{COMMAND} --only {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    known = (*(attack.name for attack in attacks()), "slow", "reload", "memory")
    parser = argparse.ArgumentParser(
        prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=known, action="append", default=[], help="repeatable")
    parser.add_argument(
        "--messages", type=int, default=MESSAGES, help=f"measured a phase (default {MESSAGES})"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the attacks' messages, up to 1 (default)"
    )
    options = parser.parse_args(arguments)
    if options.messages < 1 or not 0 < options.scale <= 1:
        parser.error("--messages must be at least 1, and --scale above 0 and at most 1")
    try:
        for one in measurements(options.only, Sizes(options.messages, options.scale)):
            print(json.dumps(one), flush=True)
    except (LabError, OSError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
