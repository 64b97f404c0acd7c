"""Files of the lab's state on this machine: written only when they differ, secrets as 0600."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

LAB = Path(__file__).parent
REPOSITORY = LAB.parent
STATE = LAB / ".state"
PKI = STATE / "pki"
DNS = STATE / "dns"
PEERS = STATE / "peers"
MAILBOXES = STATE / "mailboxes"
CAPTURES = STATE / "captures"
BUILD = STATE / "build"
CA = STATE / "ca"
RESOLVER = STATE / "resolver"
ENDPOINTS = LAB / "endpoints.json"


def write(path: Path, text: str, *, secret: bool = False) -> bool:
    """Write a file by rename; tell whether its content changed."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600 if secret else 0o644)
        file.write(text)
    new.rename(path)
    return True


def folder(path: Path, *, shared: bool = False) -> Path:
    """Create a folder that containers mount; with `shared`, each of their users may write to it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777 if shared else 0o755)
    return path


def once(path: Path, make: Callable[[], str], *, secret: bool = False) -> str:
    """Return a file's content, which is created by the first call and kept."""
    if not path.exists():
        write(path, make(), secret=secret)
    return path.read_text()


def digest(texts: Iterable[str]) -> str:
    """A short digest: a container is replaced if the digest of its files changes."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return whole.hexdigest()[:16]


def tree_digest(*roots: Path) -> str:
    """The digest of all files below some folders, or of single files, without byte code."""
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    kept = sorted(path for path in paths if path.is_file() and path.suffix != ".pyc")
    whole = hashlib.sha256()
    for path in kept:
        mode = "x" if path.stat().st_mode & 0o100 else "-"
        whole.update(f"{path.relative_to(REPOSITORY)}\0{mode}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]
