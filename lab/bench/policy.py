"""The policy helper with 10,000 partners that all name networks and exceptions.

`python -m lab.bench.policy` prints the measurements as JSON lines. The helper runs as a process of
its own on this machine; each partner has subdomains, a network, and an exception each way.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from lab.bench.line import line
from lab.commands import LabError
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
)
from tlsgate.policy.contract import RULES
from tlsgate.render.partner_maps import compile_partners
from tlsgate.render.partner_rules import PartnerRules

COMMAND = "python -m lab.bench.policy"
PARTNERS = 10_000
QUESTIONS = 5_000
START_SECONDS = 30.0
LOAD_LIMIT = 3.0
"""Seconds from the switch of the list to the first answer from it."""
MEMORY_LIMIT = 256
"""MiB: half of the container's memory limit."""
RATE_LIMIT = 1_000
"""Requests per second: several for each message of a gateway at full speed."""
_SERVE = """
import asyncio, pathlib, sys
from tlsgate.policy.serve import ServeSettings, serve
folder, outbound, inbound = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
asyncio.run(serve(ServeSettings(
    "127.0.0.1", outbound, inbound, folder / "current", ("127.0.0.1",), state=folder)))
"""


def measurements() -> Iterator[dict[str, Any]]:
    """Each with `name`, `value`, `unit`, `limit`, `ok`, `command`.

    Raises LabError if the helper does not answer, or gives a wrong answer.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = (compile_partners(_partners(offset)).rules for offset in (0, 1))
        _deliver(folder, "1", first)
        outbound, inbound = _free_port(), _free_port()
        with _helper(folder, outbound, inbound) as process:
            _answered(inbound, _delegate(first), START_SECONDS)
            _deliver(folder, "2", second)
            start = time.monotonic()
            _answered(inbound, _delegate(second), START_SECONDS)
            seconds = time.monotonic() - start
            yield line("policy-load-seconds", seconds, "s", LOAD_LIMIT, COMMAND)
            for title, port, question, end in (
                ("policy-inbound-rate", inbound, _delegate(second), b"\n\n"),
                ("policy-outbound-rate", outbound, _socketmap(second), b","),
            ):
                rate = QUESTIONS / _seconds(port, question, end)
                yield line(title, rate, "questions/s", RATE_LIMIT, COMMAND, least=True)
            yield line("policy-memory", _peak(process.pid), "MiB", MEMORY_LIMIT, COMMAND)


def _partners(offset: int) -> list[Partner]:
    """A list; with another `offset` every network differs."""
    rules = tuple(
        ExceptionRule(date(2099, 1, 1), direction, Allow.ENCRYPTED, "late", "s@corp.example")
        for direction in Direction
    )
    return [
        Partner(
            name=f"Partner {number}",
            contact=f"postmaster@partner-{number}.example",
            agreed=date(2026, 10, 1),
            review=date(2027, 10, 1),
            mode=Mode.ENFORCE,
            domains=(f"partner-{number}.example",),
            subdomains=True,
            outbound=Outbound(),
            inbound=Inbound(Require.NETWORK, networks=_networks(number + offset)),
            exceptions=rules,
        )
        for number in range(PARTNERS)
    ]


def _networks(number: int) -> tuple[str, ...]:
    high, low = divmod(number, 256)
    return (f"10.{high}.{low}.0/25", f"2001:db8:{number:x}::/48")


def _deliver(folder: Path, name: str, rules: PartnerRules) -> None:
    directory = folder / "generations" / name
    directory.mkdir(parents=True)
    (directory / RULES).write_text(rules.to_json())
    link = folder / "next"
    link.symlink_to(f"generations/{name}")
    link.replace(folder / "current")


@contextmanager
def _helper(folder: Path, outbound: int, inbound: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", _SERVE, str(folder), str(outbound), str(inbound)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)


def _delegate(rules: PartnerRules) -> Callable[[int], bytes]:
    """The request for a message from partner `number`, which must be accepted."""

    def question(number: int) -> bytes:
        return (
            f"request=smtpd_access_policy\nsender=a@x.partner-{number % PARTNERS}.example\n"
            f"client_address=198.51.100.1\nencryption_protocol=TLSv1.3\ninstance={number}\n"
            f"policy_context=enforce-{rules.digest}\n\n"
        ).encode()

    return question


def _socketmap(rules: PartnerRules) -> Callable[[int], bytes]:
    """The request for mail to partner `number`."""

    def question(number: int) -> bytes:
        text = f"partners-{rules.digest} x.partner-{number % PARTNERS}.example"
        return f"{len(text)}:{text},".encode()

    return question


def _answered(port: int, question: Callable[[int], bytes], seconds: float) -> None:
    """Wait for the answer that accepts the message."""
    deadline = time.monotonic() + seconds
    answer = b""
    while b"DUNNO" not in answer:
        if time.monotonic() > deadline:
            raise LabError(f"the policy helper did not answer within {seconds:.0f} s: {answer!r}")
        try:
            with socket.create_connection(("127.0.0.1", port), seconds) as connection:
                connection.sendall(question(0))
                answer = connection.recv(4096)
        except OSError:
            time.sleep(0.05)


def _seconds(port: int, question: Callable[[int], bytes], end: bytes) -> float:
    """Seconds for many requests in turn on one connection, as Postfix sends them."""
    with socket.create_connection(("127.0.0.1", port), START_SECONDS) as connection:
        start = time.monotonic()
        for number in range(QUESTIONS):
            connection.sendall(question(number))
            answer = b""
            while not answer.endswith(end):
                answer += connection.recv(4096)
            if b"DUNNO" not in answer and b"OK encrypt" not in answer:
                raise LabError(f"the policy helper answered {answer!r}")
        return time.monotonic() - start


def _peak(pid: int) -> float:
    """The process's maximum memory use, in MiB."""
    for field in Path(f"/proc/{pid}/status").read_text().splitlines():
        if field.startswith("VmHWM:"):
            return int(field.split()[1]) / 1024
    raise LabError("the helper's memory cannot be read")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    for measurement in measurements():
        print(json.dumps(measurement))
