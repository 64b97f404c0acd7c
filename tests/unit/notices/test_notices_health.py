from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence

import pytest

from tests.support.loopback import serves_on_loopback
from tlsgate.notices.health import alive, check

pytestmark = serves_on_loopback

NEGOTIATED = b"O" + struct.pack("!III", 6, 0x31, 0)


def served(answers: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """The port of a milter that answers its packets in this order, and the packets that it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def serve() -> None:
        with listener, listener.accept()[0] as connection, connection.makefile("rwb") as stream:
            for answer in (*answers, b""):
                length = stream.read(4)
                if len(length) < 4:
                    return
                got.append(stream.read(struct.unpack("!I", length)[0]))
                if answer:
                    stream.write(struct.pack("!I", len(answer)) + answer)
                    stream.flush()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], got


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([NEGOTIATED, b"c", b"c"], 0),
        ([NEGOTIATED, b"c", b"t"], 1),  # no list
        ([NEGOTIATED, b"c", b"r"], 1),
        ([NEGOTIATED, b"c", b""], 1),
        ([b"c", b"c", b"c"], 1),
        ([], 1),
    ],
)
def test_health(answers: list[bytes], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsgate.notices.health.TIMEOUT_SECONDS", 0.5)
    port, got = served(answers)
    assert check(port) == code
    if code == 0:
        assert [packet[:1] for packet in got][:3] == [b"O", b"C", b"M"]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([NEGOTIATED, b"c"], 0),  # whether it has a list or not
        ([NEGOTIATED, b""], 1),
        ([], 1),
    ],
)
def test_alive(answers: list[bytes], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlsgate.notices.health.TIMEOUT_SECONDS", 0.5)
    port, _ = served(answers)
    assert alive(port) == code


def test_nobody_there_is_ill_health(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert check(port) == 1
    assert str(port) in capsys.readouterr().err
