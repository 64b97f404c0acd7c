"""The agent's image installs exactly what uv.lock pins for the group `agent`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def locked() -> dict[str, str]:
    """Name → version of what the agent needs, and what that needs."""
    packages = {
        package["name"]: package
        for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    found: dict[str, str] = {}
    left = [dependency["name"] for dependency in packages["tlsgate"]["dev-dependencies"]["agent"]]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = packages[name]["version"]
            left += [entry["name"] for entry in packages[name].get("dependencies", [])]
    return found


def test_pins_are_those_of_the_lock_file() -> None:
    text = (ROOT / "images/agent/requirements.txt").read_text()
    assert dict(_PIN.findall(text)) == locked()


def test_every_hash_is_in_the_lock_file() -> None:
    text = (ROOT / "images/agent/requirements.txt").read_text()
    hashes = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", text))
    assert hashes
    assert hashes <= set(re.findall(r"sha256:[0-9a-f]{64}", (ROOT / "uv.lock").read_text()))
