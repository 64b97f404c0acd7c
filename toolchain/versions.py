"""Which versions set-up wants, and how a version is read. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Version(NamedTuple):
    """Three numbers; anything after them (`-dev.0`, `+meta`) does not count."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse(text: str) -> Version | None:
    """Return the first version in a tool's answer, such as `v3.220.0` or `go1.26.8`."""
    match = re.search(r"(?<![\d.])v?(\d+)\.(\d+)(?:\.(\d+))?", text.replace("go1", "1", 1))
    return Version(*(int(part or 0) for part in match.groups())) if match else None


PULUMI_MINIMUM: Final = Version(3, 220, 0)
"""The oldest CLI that the project is tested with; the one that is built where none can be fetched.

Not newer when built: from 3.230 on the engine starts policy packs through a language host of the
same age, and the newest whose source the Go proxy serves is 3.79.
"""

NEWEST_PYTHON: Final = "3.14"
"""The newest Python that the tests run on; the oldest is in pyproject.toml."""

GO_MINIMUM: Final = Version(1, 24, 7)
"""What the sources in go/ and offline/go/ ask for."""

GO_TOOLCHAIN: Final = Version(1, 26, 8)
GO_TOOLCHAIN_SHA256: Final = {
    "amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
    "arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
}
"""The Go project's own toolchain, which it publishes as the module golang.org/toolchain."""

PEBBLE: Final = Version(2, 10, 1)
UV: Final = Version(0, 13, 9)
ENGINE_API_MINIMUM: Final = (1, 41)
BASE_IMAGE: Final = "debian:trixie-slim"
BASE_IMAGE_VARIABLE: Final = "TLSGATE_BASE_IMAGE"
"""The user's choice of another base image, which must be on the engine or be pullable."""
BASE_SUITE: Final = "trixie"

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def architecture(machine: str) -> str | None:
    """Return Go's and Debian's word for what `platform.machine()` says, if it is a known one."""
    return _MACHINES.get(machine.lower())
