"""The container's health check: whether a notice would be accepted under the list in force.

It speaks the milter protocol (libmilter's mfdef.h: length, command, data) up to the sender of a
notice, which is where the milter refuses if it has no list. Only the standard library.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Sequence

TIMEOUT_SECONDS = 3.0
_VERSION, _ACTIONS, _STEPS = 6, 0x1FF, 0
"""What a mail server says of itself; with no steps that may be left out."""
_CONTINUE = b"c"
_ASKED = (
    (b"O", struct.pack("!III", _VERSION, _ACTIONS, _STEPS), b"O"),
    (b"C", b"health\0U", _CONTINUE),
    (b"M", b"<>\0", _CONTINUE),
)


def check(port: int) -> int:
    """0 if a notice would be taken, else 1 with the reason on standard error."""
    return _ask(port, _ASKED)


def alive(port: int) -> int:
    """The same, for the watchdog: whether the milter answers, with or without a list."""
    return _ask(port, _ASKED[:2])


def _ask(port: int, dialogue: Sequence[tuple[bytes, bytes, bytes]]) -> int:
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
            for command, data, expected in dialogue:
                _send(connection, command, data)
                answer = _answer(connection)
                if answer != expected:
                    print(f"the milter answers {command!r} with {answer!r}", file=sys.stderr)
                    return 1
            _send(connection, b"Q", b"")
    except OSError as fault:
        print(f"port {port} does not answer: {fault}", file=sys.stderr)
        return 1
    return 0


def _send(connection: socket.socket, command: bytes, data: bytes) -> None:
    connection.sendall(struct.pack("!I", len(data) + 1) + command + data)


def _answer(connection: socket.socket) -> bytes:
    """The command of one packet; b"" if the milter has ended the connection."""
    with connection.makefile("rb") as stream:
        length = stream.read(4)
        packet = stream.read(struct.unpack("!I", length)[0]) if len(length) == 4 else b""
    return packet[:1]
