"""Finds secrets in texts: by the typical form of secrets, and by those that are on this machine."""

from __future__ import annotations

import io
import re
import tarfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

from docker.models.containers import Container

from lab import files
from tlsgate.dns.tsig import read_tsig_key

SHAPES = {
    "a private key in PEM": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a private key as JWK": re.compile(r"""["']d\\*["']\s*:\s*\\*["'][A-Za-z0-9_-]{20,}"""),
    "a secret as BIND writes it": re.compile(r"""\bsecret\s+\\*["'][A-Za-z0-9+/]{16,}"""),
}
HEADER = "-----BEGIN "


def found(text: str, secrets: dict[str, str]) -> list[str]:
    """The secrets in a text; `secrets`: description → the text to search for."""
    shaped = [name for name, pattern in SHAPES.items() if pattern.search(text)]
    return [*shaped, *(name for name, secret in secrets.items() if secret in text)]


def tsig_secrets() -> dict[str, str]:
    """The lab's TSIG secrets, as Base64 and as hexadecimal."""
    secrets = {}
    for name in ("pulumi", "agent"):
        secret = read_tsig_key(files.DNS / f"{name}.key").secret
        secrets[f"TSIG secret {name}"] = b64encode(secret).decode().rstrip("=")
        secrets[f"TSIG secret {name} in hex"] = secret.hex()
    return secrets


def key_secrets(container: Container, folder: str) -> dict[str, str]:
    """The private keys below a folder of a container: one Base64 line of each."""
    return {
        f"{folder}/{name}": key_line(text)
        for name, text in _files(container, folder)
        if Path(name).name == "key.pem"
    }


def key_line(pem: str) -> str:
    """The longest part of a PEM key on one line, which contains the private number."""
    lines = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    return max(lines, key=len)


def _files(container: Container, folder: str) -> Iterator[tuple[str, str]]:
    stream, _ = container.get_archive(folder)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            if content is not None:
                yield member.name, content.read().decode(errors="replace")
