"""Many new STARTTLS connections per second to the gateway, from several of the lab's servers.

Each is a whole session of a sender that verifies the certificate: greeting, EHLO, STARTTLS, the
chain up to the lab's public roots and the gateway's name, EHLO again, QUIT. Several servers are
needed because the gateway limits the rate of connections from one address.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab import plan
from lab.bring_up import ROOTS
from lab.driver import Lab

PEERS = ("good", "hosted", "sts", "dane")
_SCRIPT = r"""
import hashlib, json, pathlib, socket, ssl, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
job = json.loads(sys.argv[1])
context = ssl.create_default_context(cadata=job["roots"])
stop, lock = pathlib.Path(job["stop"]), threading.Lock()
made, failures = [], []

def answer(file, code):
    while True:
        line = file.readline()
        if not line.startswith(code):
            raise OSError(f"expected {code!r}, got {line!r}")
        if line[3:4] != b"-":
            return

def session():
    step, at = "connect", time.time()
    try:
        with socket.create_connection((job["host"], 25), 20) as plain:
            step = "greeting"
            with plain.makefile("rb") as file:
                answer(file, b"220")
                plain.sendall(b"EHLO load.example\r\n")
                answer(file, b"250")
                step = "STARTTLS"
                plain.sendall(b"STARTTLS\r\n")
                answer(file, b"220")
            step = "handshake"
            with context.wrap_socket(plain, server_hostname=job["name"]) as tls:
                at = time.time()
                leaf = tls.getpeercert(binary_form=True)
                step = "session"
                with tls.makefile("rb") as file:
                    tls.sendall(b"EHLO load.example\r\n")
                    answer(file, b"250")
                    tls.sendall(b"QUIT\r\n")
                    answer(file, b"221")
        with lock:
            made.append([at, hashlib.sha256(leaf).hexdigest(), leaf])
    except OSError as fault:
        with lock:
            failures.append(f"{time.time():.1f} {step}: {fault!r}")

begun, number = time.monotonic(), 0
with ThreadPoolExecutor(16) as pool:
    while not stop.exists() and time.monotonic() < begun + job["seconds"]:
        pool.submit(session)
        number += 1
        if number % 50 == 0:
            print("running", flush=True)  # without output the reader would time out
        time.sleep(max(0, begun + number / job["rate"] - time.monotonic()))
leaves = {digest: ssl.DER_cert_to_PEM_cert(leaf) for _, digest, leaf in made}
print(json.dumps({"made": [[at, digest] for at, digest, _ in made], "failures": failures,
                  "leaves": leaves, "seconds": time.monotonic() - begun}))
"""


@dataclass
class Load:
    """The result, complete after the block. `made`: time and certificate of each session."""

    made: list[tuple[float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    leaves: dict[str, str] = field(default_factory=dict)
    """The certificates that the gateway presented: digest → PEM."""
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Whole sessions per second."""
        return len(self.made) / self.seconds if self.seconds else 0.0


@contextmanager
def load(
    lab: Lab, rate: float, peers: Sequence[str] = PEERS, seconds: float = 900
) -> Iterator[Load]:
    """Open `rate` new connections per second during the block, for at most `seconds`."""
    found, lock, stop = Load(), threading.Lock(), f"/tmp/stop-{secrets.token_hex(4)}"  # noqa: S108
    job = {
        "roots": ROOTS.read_text(),
        "host": plan.GATEWAY_ADDRESS,
        "name": plan.GATEWAY_HOST,
        "rate": rate / len(peers),
        "seconds": seconds,
        "stop": stop,
    }

    def run(peer: str) -> None:
        part = json.loads(lab.run(peer, "python3", "-c", _SCRIPT, json.dumps(job)).splitlines()[-1])
        with lock:
            found.made += [(at, digest) for at, digest in part["made"]]
            found.failures += [f"{peer}: {failure}" for failure in part["failures"]]
            found.leaves |= part["leaves"]
            found.seconds = max(found.seconds, part["seconds"])

    threads = [threading.Thread(target=run, args=(peer,)) for peer in peers]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        for peer in peers:
            lab.run(peer, "touch", stop)
        for thread in threads:
            thread.join()
        for peer in peers:
            lab.run(peer, "rm", stop)
        found.made.sort()
