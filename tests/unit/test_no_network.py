"""No unit test reaches the network: a forgotten fake fails at once, on every machine."""

from __future__ import annotations

import socket

import pytest

from tests.support.loopback import serves_on_loopback

ELSEWHERE = ("192.0.2.1", 25)


def test_a_test_opens_no_socket() -> None:
    with (
        pytest.raises(UserWarning, match=r"A test tried to use socket\.getaddrinfo"),
        socket.create_connection(ELSEWHERE, timeout=1),
    ):
        pass
    with pytest.raises(UserWarning, match=r"A test tried to use socket\.socket"):
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@serves_on_loopback
def test_a_test_that_serves_connects_to_this_machine_alone() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=1) as client,
    ):
        assert client.getpeername() == server.getsockname()
    with pytest.raises(UserWarning, match=r'connect\(\) with host "192\.0\.2\.1"'):
        socket.create_connection(ELSEWHERE, timeout=1)
