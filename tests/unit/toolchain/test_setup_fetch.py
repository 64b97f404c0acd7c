"""Downloads: checked, given up soon, not tried again and again."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.loopback import serves_on_loopback
from toolchain.errors import SetupError, UnreachableError
from toolchain.fetch import KEPT, Fetcher, Unreachable, published_checksum, verify

pytestmark = serves_on_loopback

LISTING = """
0123abc  pulumi-v3.220.0-darwin-arm64.tar.gz
ABCDEF *pulumi-v3.220.0-linux-x64.tar.gz
"""


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("pulumi-v3.220.0-darwin-arm64.tar.gz", "0123abc"),
        ("pulumi-v3.220.0-linux-x64.tar.gz", "abcdef"),
        ("pulumi-v3.220.0-linux", None),
        ("", None),
    ],
)
def test_published_checksum(name: str, digest: str | None) -> None:
    assert published_checksum(LISTING, name) == digest


@pytest.mark.parametrize("kind", ["sha256", "sha512"])
def test_the_right_checksum_is_accepted(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "archive"
    file.write_bytes(b"content")
    verify(file, hashlib.new(kind, b"content").hexdigest())
    assert file.exists()


@pytest.mark.parametrize("kind", ["sha256", "sha512"])
def test_a_wrong_checksum_is_refused_and_the_file_deleted(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "archive"
    file.write_bytes(b"changed on the way")
    with pytest.raises(SetupError, match=f"archive is not what was published: {kind}"):
        verify(file, hashlib.new(kind, b"content").hexdigest())
    assert not file.exists()


def test_a_checksum_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "archive"
    file.touch()
    with pytest.raises(SetupError, match="neither SHA-256 nor SHA-512"):
        verify(file, "d41d8cd98f00b204e9800998ecf8427e")


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
        elif self.path == "/broken":
            self.send_error(503)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789" if self.path == "/whole" else b"0123")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Server) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(Unreachable(tmp_path / "unreachable.json"), open_timeout=2)


def test_a_whole_file(server: str, fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher.file(f"{server}/whole", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "0123456789"


def test_a_file_that_breaks_off_is_an_error(server: str, fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="broke off"):
        fetcher.file(f"{server}/half", tmp_path / "file")


def test_a_missing_file_says_nothing_about_its_server(server: str, fetcher: Fetcher) -> None:
    with pytest.raises(UnreachableError, match="404"):
        fetcher.text(f"{server}/missing")
    assert fetcher.text(f"{server}/whole") == "0123456789"


def test_a_server_with_an_error_is_left_alone(server: str, fetcher: Fetcher) -> None:
    with pytest.raises(UnreachableError):
        fetcher.text(f"{server}/broken")
    with pytest.raises(UnreachableError, match="did not answer earlier"):
        fetcher.text(f"{server}/whole")


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        fetcher = Fetcher(Unreachable(tmp_path / "u.json"), open_timeout=0.2)
        with pytest.raises(UnreachableError, match="no answer"):
            fetcher.text(address)
        assert fetcher.unreachable.knows("127.0.0.1")


def test_what_is_unreachable_is_kept_for_a_day(tmp_path: Path) -> None:
    now = [1000.0]
    file = tmp_path / "cache/unreachable.json"
    Unreachable(file, lambda: now[0]).add("get.pulumi.com")
    now[0] += KEPT - 1
    later = Unreachable(file, lambda: now[0])
    assert later.knows("get.pulumi.com")
    assert not later.knows("www.pulumi.com")
    now[0] += 2
    assert not later.knows("get.pulumi.com")


def test_a_clock_set_back_does_not_keep_a_server_out_for_longer(tmp_path: Path) -> None:
    file = tmp_path / "unreachable.json"
    Unreachable(file, lambda: 9e9).add("get.pulumi.com")
    assert not Unreachable(file, lambda: 1000.0).knows("get.pulumi.com")


def test_retry_forgets(tmp_path: Path) -> None:
    file = tmp_path / "unreachable.json"
    Unreachable(file).add("get.pulumi.com")
    Unreachable(file).forget()
    assert not Unreachable(file).knows("get.pulumi.com")


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_spoilt_memory_is_no_memory(tmp_path: Path, text: str) -> None:
    file = tmp_path / "unreachable.json"
    file.write_text(text)
    memory = Unreachable(file)
    assert not memory.knows("get.pulumi.com")
    memory.add("get.pulumi.com")
    assert Unreachable(file).knows("get.pulumi.com")
