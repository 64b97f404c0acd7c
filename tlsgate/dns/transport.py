"""DNS messages over one TCP connection, several at once (RFC 7766, section 6.2.1.1).

An unsigned refusal of a signed request is returned unchanged: servers that do not know a key answer
so, and Knot for everything that its access list forbids. The caller decides whether an answer must
be signed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import dns.exception
import dns.message
import dns.tsig

from tlsgate.dns.errors import DnsError, KeyRefusedError, UnreachableError

WINDOW = 50
"""Questions under way at once; their ids must differ."""


def shown(host: str, port: int) -> str:
    """Return how messages name a server."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def exchange(
    host: str, port: int, queries: Sequence[dns.message.Message], timeout: float
) -> list[dns.message.Message]:
    """Return the answers in the order of `queries`, of which any fifty in a row differ in id.

    `timeout` in seconds counts for connecting and for each answer. A server that closes the
    connection early is asked again for the rest, and one by one if it does not answer several:
    but a message that is sent alone, as every update is, is never sent twice. Raises DnsError.
    """
    answers: list[dns.message.Message] = []
    window = min(WINDOW, len(queries))
    while len(answers) < len(queries):
        before = len(answers)
        rest = queries[before:]
        try:
            with socket.create_connection((host, port), timeout) as connection:
                answers += _converse(connection, rest, window, shown(host, port))
        except socket.gaierror as error:
            raise UnreachableError(
                f"{host}: no such host ({error.strerror}). Check the name of the DNS server"
            ) from None
        except TimeoutError:
            raise UnreachableError(
                f"{shown(host, port)}: no answer within {timeout:g} s. Check that the DNS server"
                " runs, and that TCP to it is let through"
            ) from None
        except OSError as error:
            raise UnreachableError(
                f"{shown(host, port)}: {error.strerror or error}. Check that the DNS server runs,"
                " and that TCP to it is let through"
            ) from None
        if len(answers) == before and window > 1:
            window = 1
        elif len(answers) == before:
            raise UnreachableError(
                f"{shown(host, port)}: closed the connection without an answer. Look into the DNS"
                " server's log"
            )
    return answers


def _converse(
    connection: socket.socket, queries: Sequence[dns.message.Message], size: int, server: str
) -> Iterator[dns.message.Message]:
    """Yield answers in order until the server closes the connection; `size` are asked at once."""
    with connection.makefile("rb") as stream:
        for start in range(0, len(queries), size):
            window = queries[start : start + size]
            arrived: dict[int, bytes] = {}
            try:
                for query in window:
                    wire = query.to_wire()
                    connection.sendall(len(wire).to_bytes(2, "big") + wire)
                for query in window:
                    while query.id not in arrived:
                        wire = _receive(stream)
                        if not wire:
                            return
                        arrived[int.from_bytes(wire[:2], "big")] = wire
                    yield parse(arrived[query.id], query, server)
            except (ConnectionResetError, BrokenPipeError):
                return


def _receive(stream: BinaryIO) -> bytes:
    """Return one message; empty if the connection ended before or within it."""
    size = int.from_bytes(stream.read(2), "big")
    wire = stream.read(size)
    return wire if len(wire) == size else b""


def parse(wire: bytes, query: dns.message.Message, server: str) -> dns.message.Message:
    """Return a checked answer; raises KeyRefusedError where signatures do not agree."""
    try:
        try:
            answer = dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac)
        except dns.exception.FormError:
            answer = dns.message.from_wire(wire)
            if answer.had_tsig:
                raise
    except dns.tsig.PeerBadTime:
        raise KeyRefusedError(
            f"{server}: refuses the signature's time (BADTIME). Correct this machine's clock,"
            " or the DNS server's"
        ) from None
    except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature):
        raise KeyRefusedError(
            f"{server}: has another secret for the TSIG key {_key_name(query)} (BADSIG). Copy the"
            " key from the DNS server again"
        ) from None
    except (dns.tsig.PeerError, dns.tsig.BadKey, dns.tsig.BadAlgorithm, dns.message.UnknownTSIGKey):
        raise KeyRefusedError(
            f"{server}: does not know the TSIG key {_key_name(query)} with its algorithm (BADKEY)."
            " Check the key's name and algorithm on both sides"
        ) from None
    except dns.tsig.BadTime:
        raise KeyRefusedError(
            f"{server}: the answer's signature is too old or too new. Correct this machine's"
            " clock, or the DNS server's"
        ) from None
    except dns.exception.DNSException as error:
        raise DnsError(
            f"{server}: the answer cannot be read ({error}). Check that a DNS server listens there"
        ) from None
    if not query.is_response(answer):
        raise DnsError(f"{server}: the answer is to another question. Look into the server's log")
    return answer


def _key_name(query: dns.message.Message) -> str:
    return f'"{query.keyname.to_text(omit_final_dot=True)}"' if query.keyname else "(none)"
