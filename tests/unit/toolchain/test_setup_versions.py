"""Versions are read from what tools really print."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain import go_tools, versions
from toolchain.versions import Version

TOOLCHAIN = Path(versions.__file__).parent


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.220.0", (3, 220, 0)),
        ("v3.221.0-dev.0+abc", (3, 221, 0)),
        ("go1.26.8", (1, 26, 8)),
        ("go1.24", (1, 24, 0)),
        ("go version go1.19.8 linux/amd64", (1, 19, 8)),
        ("uv 0.13.9 (x86_64-unknown-linux-gnu)", (0, 13, 9)),
        ("pulumi-3.220.0-built", (3, 220, 0)),
        ("", None),
        ("devel", None),
        ("<html>", None),
    ],
)
def test_parse(text: str, version: tuple[int, int, int] | None) -> None:
    assert versions.parse(text) == version


def test_order_is_by_number() -> None:
    assert Version(3, 220, 0) > Version(3, 99, 9)


@pytest.mark.parametrize(
    ("version", "usable"),
    [
        (None, False),
        (Version(1, 19, 8), False),
        (Version(1, 24, 6), False),
        (Version(1, 24, 7), True),
        (Version(1, 26, 0), True),
    ],
)
def test_go_is_new_enough(version: Version | None, usable: bool) -> None:
    assert go_tools.is_usable(version) is usable


@pytest.mark.parametrize("module", ["offline/go/pulumi", "offline/go/language-host", "go/pebble"])
def test_go_sources_ask_for_no_newer_go_than_is_looked_for(module: str) -> None:
    lines = (TOOLCHAIN / module / "go.mod").read_text().splitlines()
    wanted = versions.parse(next(line for line in lines if line.startswith("go ")))
    assert go_tools.is_usable(versions.GO_TOOLCHAIN)
    assert wanted is not None
    assert wanted <= versions.GO_MINIMUM
    assert not any(line.startswith("replace") for line in lines)


@pytest.mark.parametrize(
    ("module", "requirement"),
    [
        ("offline/go/pulumi", f"github.com/pulumi/pulumi/pkg/v3 v{versions.PULUMI_MINIMUM}"),
        ("offline/go/pulumi", f"github.com/pulumi/pulumi/sdk/v3 v{versions.PULUMI_MINIMUM}"),
        ("go/pebble", f"github.com/letsencrypt/pebble/v2 v{versions.PEBBLE}"),
    ],
)
def test_versions_are_those_of_the_go_modules(module: str, requirement: str) -> None:
    assert requirement in (TOOLCHAIN / module / "go.mod").read_text()


def test_uv_is_the_version_that_its_requirement_pins() -> None:
    text = (TOOLCHAIN / "uv.txt").read_text()
    assert text.startswith(f"uv=={versions.UV} ")
    assert "--hash=sha256:" in text


@pytest.mark.parametrize(
    ("goproxy", "address"),
    [
        ("", "https://proxy.golang.org"),
        ("off", "https://proxy.golang.org"),
        ("https://go.corp.example/mod/,direct", "https://go.corp.example/mod"),
        ("file:///srv/go|https://b.example", "https://b.example"),
    ],
)
def test_proxy_address(goproxy: str, address: str) -> None:
    assert go_tools.proxy_address(goproxy) == address


@pytest.mark.parametrize(
    ("line", "passing"),
    [
        ("| x: Get https://proxy.golang.org/x.zip: dial tcp: lookup: read udp: i/o timeout", True),
        ("| reading https://proxy.golang.org/x.zip: 503 Service Unavailable", True),
        ("| reading https://proxy.golang.org/x.zip: 404 Not Found", False),
        ("| verifying x: checksum mismatch", False),
        ("| x.go:1:1: undefined: y", False),
    ],
)
def test_only_a_failing_network_is_tried_again(line: str, passing: bool) -> None:
    assert go_tools.is_passing(["log ends with", line]) is passing


@pytest.mark.parametrize(
    ("machine", "word"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64", None)]
)
def test_architecture(machine: str, word: str | None) -> None:
    assert versions.architecture(machine) == word
