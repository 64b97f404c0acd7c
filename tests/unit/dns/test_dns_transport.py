"""Messages over TCP, against small servers on the loopback interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.message
import pytest

from tests.support.loopback import serves_on_loopback
from tlsgate.dns.errors import DnsError, UnreachableError
from tlsgate.dns.transport import WINDOW, exchange, shown

pytestmark = serves_on_loopback

Serve = Callable[[socket.socket, list[bytes]], None]


@contextmanager
def listening(serve: Serve, connections: int = 1) -> Iterator[tuple[int, list[bytes]]]:
    """A server that handles some connections one by one; yields its port and what it received."""
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def run() -> None:
            for _ in range(connections):
                connection, _ = listener.accept()
                with connection:
                    serve(connection, received)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1], received
        finally:
            thread.join()


def receive(connection: socket.socket, received: list[bytes]) -> bytes:
    with connection.makefile("rb") as stream:
        wire = stream.read(int.from_bytes(stream.read(2), "big"))
    received.append(wire)
    return wire


def reply(connection: socket.socket, wire: bytes) -> None:
    answer = dns.message.make_response(dns.message.from_wire(wire)).to_wire()
    connection.sendall(len(answer).to_bytes(2, "big") + answer)


def questions(count: int) -> list[dns.message.Message]:
    return [
        dns.message.make_query(f"h{number}.corp.example", "A", id=number) for number in range(count)
    ]


def test_answers_come_in_the_order_of_the_questions_whatever_the_server_does() -> None:
    def backwards(connection: socket.socket, received: list[bytes]) -> None:
        with connection.makefile("rb") as stream:
            for size in (WINDOW, 3):
                wires = [stream.read(int.from_bytes(stream.read(2), "big")) for _ in range(size)]
                for wire in reversed(wires):
                    reply(connection, wire)

    asked = questions(WINDOW + 3)
    with listening(backwards) as (port, _):
        answers = exchange("127.0.0.1", port, asked, 5)
    assert [answer.question for answer in answers] == [query.question for query in asked]


def test_a_server_that_answers_once_a_connection_is_asked_again() -> None:
    left = iter((3, 2, 1))

    def one_answer(connection: socket.socket, received: list[bytes]) -> None:
        with connection.makefile("rb") as stream:
            # All of them are read: what is left unread at the end would reset the connection, and
            # the answer could be lost with it.
            asked = [stream.read(int.from_bytes(stream.read(2), "big")) for _ in range(next(left))]
        received += asked
        reply(connection, asked[0])

    with listening(one_answer, connections=3) as (port, received):
        answers = exchange("127.0.0.1", port, questions(3), 5)
    assert [answer.id for answer in answers] == [0, 1, 2]
    assert len(received) == 3 + 2 + 1


def test_an_update_is_never_sent_twice() -> None:
    with listening(receive) as (port, received), pytest.raises(UnreachableError, match="closed"):  # type: ignore[arg-type]
        exchange("127.0.0.1", port, questions(1), 5)
    assert len(received) == 1


def test_a_silent_server_is_named_with_the_time_it_had() -> None:
    done = threading.Event()

    def silent(connection: socket.socket, received: list[bytes]) -> None:
        done.wait(10)

    with listening(silent) as (port, _):
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: no answer within 0.2 s"):
            exchange("127.0.0.1", port, questions(1), 0.2)
        done.set()


def test_a_closed_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}: Connection refused"):
        exchange("127.0.0.1", port, questions(1), 1)


def test_a_name_that_does_not_resolve_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match=r"nowhere.test: no such host"):
        exchange("nowhere.test", 53, questions(1), 1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"\x00\x00" + b"\xff" * 40, "cannot be read"),
        (b"\x00\x00" + b"\x00" * 10, "another question"),
    ],
)
def test_a_wrong_answer_is_reported(answer: bytes, message: str) -> None:
    def babble(connection: socket.socket, received: list[bytes]) -> None:
        receive(connection, received)
        connection.sendall(len(answer).to_bytes(2, "big") + answer)

    with listening(babble) as (port, _), pytest.raises(DnsError, match=message):
        exchange("127.0.0.1", port, questions(1), 5)


def test_an_ipv6_server_is_shown_in_brackets() -> None:
    assert (shown("2001:db8::1", 53), shown("ns.test", 5353)) == (
        "[2001:db8::1]:53",
        "ns.test:5353",
    )
