"""The container's health: the watcher runs, the server answers, and DNS answers are validated."""

from __future__ import annotations

import os
import secrets
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from tlsgate.generation import requirements
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import answers

HEARTBEAT_SECONDS = 15.0
PROBE_VARIABLE = "TLSGATE_DNSSEC_PROBE"
"""A signed name; its SOA is asked for. The root, if the variable is not set."""
_RESOLV_CONF = Path("/etc/resolv.conf")
_SOA = 6
_RD_AD = 0x0120
_AD = 0x0020
_RCODE = 0x000F
_QR = 0x8000


def faults(kind: str, paths: Paths, port: int) -> list[str]:
    """What is wrong; empty if nothing is."""
    checks: list[tuple[Callable[[], bool], str]] = [
        (lambda: _beats(paths.heartbeat), "the watcher does not run"),
        (lambda: answers(port), f"nothing answers on port {port}"),
    ]
    if kind == requirements.POSTFIX:
        name = os.environ.get(PROBE_VARIABLE, ".")
        checks.append((lambda: validates(name), f"DNS answers for {name} are not validated"))
    return [fault for check, fault in checks if not check()]


def _beats(heartbeat: Path) -> bool:
    try:
        return time.time() - heartbeat.stat().st_mtime < HEARTBEAT_SECONDS
    except OSError:
        return False


def validates(name: str, resolv_conf: Path = _RESOLV_CONF) -> bool:
    """Whether the container's resolver says that it authenticated the name (AD, RFC 6840)."""
    query, identifier = soa_query(name)
    for server in _name_servers(resolv_conf.read_text()):
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                udp.settimeout(3)
                udp.connect((server, 53))
                udp.send(query)
                if authenticated(udp.recv(4096), identifier):
                    return True
        except OSError:
            continue
    return False


def soa_query(name: str) -> tuple[bytes, int]:
    """A query for the SOA with AD set, and its identifier (RFC 1035, section 4.1)."""
    identifier = secrets.randbelow(1 << 16)
    labels = [label.encode("ascii") for label in name.strip(".").split(".") if label]
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = struct.pack("!6H", identifier, _RD_AD, 1, 0, 0, 0)
    return header + question + struct.pack("!2H", _SOA, 1), identifier


def authenticated(answer: bytes, identifier: int) -> bool:
    """Whether this is the answer, without error and with AD."""
    if len(answer) < 12:
        return False
    found, flags = struct.unpack_from("!2H", answer)
    return bool(found == identifier and flags & _QR and flags & _AD and not flags & _RCODE)


def _name_servers(resolv_conf: str) -> list[str]:
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
