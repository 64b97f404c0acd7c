"""The folder that the Docker engine builds the images from: `images/` and the package `tlsgate`.

A stack of this repository builds from the repository itself. Any other program builds from a copy
in a folder of its own project. The path of the copy is relative, so that it is the same on every
machine and for every Python version: pulumi-docker replaces an image when its context path changes.
Files and their modes are the same in both cases, so the engine's build cache gives the same ids.

The Docker plugin looks for a relative path in the folder where Pulumi started the program. So that
folder counts here, and not the current one: a program may change that with `os.chdir`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pulumi

import tlsgate
from tlsgate_pulumi.engine import DeploymentError, read_host_file

BUILD_CA_VARIABLE = "TLSGATE_BUILD_CA"
NO_EXTRA_CA = "images/no-extra-ca.crt"
EXTRA_CA = "images/extra-ca.crt"
PACKAGE = Path(__file__).parent
SHIPPED_IMAGES = PACKAGE / "images"
"""Exists in the wheel only; in a checkout, images/ is at the top."""
CHECKOUT = None if SHIPPED_IMAGES.is_dir() else PACKAGE.parents[1]
STARTED_IN = Path.cwd()
"""The current folder when the program imported this package."""
NOTE = "# Written by tlsgate: what its images are built from. Safe to delete.\n*\n"


@dataclass(frozen=True, slots=True)
class BuildContext:
    """`folder`: its path, for the Docker plugin. `extra_ca`: the path of a CA bundle in it."""

    folder: str
    extra_ca: str = NO_EXTRA_CA

    def digest(self, role: str) -> str:
        """Return the SHA-256 of all files that the image of `images/<role>` is built from."""
        return build_digest(_program_folder() / self.folder, role)


def _program_folder() -> Path:
    """Return the folder where Pulumi started the program: that of Pulumi.yaml, or its `main`.

    Not every language host tells the root; then the program must import this package before it
    changes the current folder.
    """
    root = Path(pulumi.get_root_directory() or "")
    if not root.is_absolute() or STARTED_IN.is_relative_to(root.resolve()):
        return STARTED_IN
    return root


def is_checkout() -> bool:
    """Return whether the program runs in this repository."""
    return CHECKOUT is not None and _program_folder().resolve() == CHECKOUT


def is_usable(path: str) -> bool:
    """Return whether a build can use the CA bundle at `path`; a copied context can use any."""
    images = (_program_folder() / "images").resolve()
    return not is_checkout() or (_program_folder() / path).resolve().is_relative_to(images)


def prepare(folder: str, build_ca_file: str | None) -> BuildContext:
    """Return the build context; outside a checkout it is written to `folder`.

    `build_ca_file` is a CA bundle for the package index; the default is the variable
    TLSGATE_BUILD_CA, because a proxy in front of the index depends on the machine. Raises
    DeploymentError if the folder has other content, or if the bundle cannot be read.
    """
    variable = os.environ.get(BUILD_CA_VARIABLE)
    bundle = build_ca_file or variable
    if is_checkout():
        return BuildContext(".", bundle or NO_EXTRA_CA)
    wanted = _sources()
    if bundle:
        try:
            wanted[EXTRA_CA] = (read_host_file(bundle), 0o644)
        except DeploymentError as error:
            setting = "images.build_ca_file" if build_ca_file else BUILD_CA_VARIABLE
            raise DeploymentError(f"{setting}: {error}") from None
    _write(_program_folder() / folder, wanted)
    return BuildContext(folder, EXTRA_CA if bundle else NO_EXTRA_CA)


def _sources() -> dict[str, tuple[bytes, int]]:
    """Return the files of the context: path → content and mode."""
    images = SHIPPED_IMAGES if CHECKOUT is None else CHECKOUT / "images"
    own = {images / Path(EXTRA_CA).name}  # written by the set-up of a checkout
    found = {}
    for top, root in (("images", images), ("tlsgate", Path(tlsgate.__file__).parent)):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path not in own:
                mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                found[f"{top}/{path.relative_to(root).as_posix()}"] = (path.read_bytes(), mode)
    return found


def _write(folder: Path, wanted: dict[str, tuple[bytes, int]]) -> None:
    """Make the folder contain exactly these files; unchanged files are not written again."""
    note = folder / ".gitignore"
    if folder.is_dir() and any(folder.iterdir()) and not _is_ours(note):
        raise DeploymentError(
            f"{folder}: was not written by tlsgate and is not empty. Delete it, or choose another"
            " `build_folder`"
        )
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(NOTE)
    for path in [*folder.glob("images/**/*"), *folder.glob("tlsgate/**/*")]:
        if path.is_file() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, (content, mode) in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)
        path.chmod(mode)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _is_ours(note: Path) -> bool:
    return note.is_file() and note.read_text() == NOTE


def build_digest(root: Path, role: str) -> str:
    """Return the SHA-256 of all files that the image of `images/<role>` is built from."""
    dockerfile = root / "images" / role / "Dockerfile"
    sources = [dockerfile, *_copied(root, dockerfile)]
    hasher = hashlib.sha256()
    for path in sorted(set(sources)):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def _copied(root: Path, dockerfile: Path) -> list[Path]:
    """Return the files that a Dockerfile copies from its context."""
    found: list[Path] = []
    for line in dockerfile.read_text("utf-8").replace("\\\n", " ").splitlines():
        words = line.split()
        if words[:1] != ["COPY"] or any(word.startswith("--from") for word in words):
            continue
        for source in words[1:-1]:
            path = root / source
            found += path.rglob("*.py") if path.is_dir() else [path] if path.is_file() else []
    return found
