"""The Pulumi CLI with its Python language host: the user's own, the vendor's, or built.

The user's own one is only run, with a home of the project's own: login, plugins and settings of the
user's stay as they are.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from toolchain import versions
from toolchain.commands import answer
from toolchain.context import Context
from toolchain.errors import SetupError, UnreachableError
from toolchain.fetch import published_checksum, verify
from toolchain.offline.pulumi_build import HOST, build_cli, pulumi_environment
from toolchain.progress import Done
from toolchain.versions import PULUMI_MINIMUM, Version

LATEST: Final = "https://www.pulumi.com/latest-version"
RELEASES: Final = "https://get.pulumi.com/releases/sdk"


class Source(StrEnum):
    """Where the CLI is from."""

    OWN = "your own on PATH"
    VENDOR = "vendor's release"
    BUILT = "built from source"


@dataclass(frozen=True, slots=True)
class Cli:
    """A CLI. `folder`: the one to put on PATH, None for the user's own, which is on it."""

    version: Version
    source: Source
    folder: Path | None


def key(source: Source, version: Version) -> str:
    """Return the name in the tool cache."""
    return f"pulumi-{version}-{source.name.lower()}"


def newest_vendor(names: Iterable[str]) -> Version | None:
    """Return the newest vendor's release among the names of the tool cache."""
    found = []
    for name in names:
        version = versions.parse(name) if name.startswith("pulumi-") else None
        if version and name == key(Source.VENDOR, version) and version >= PULUMI_MINIMUM:
            found.append(version)
    return max(found, default=None)


def archive_name(version: Version, system: str, arch: str) -> str:
    """Return the name of a release's archive; the vendor says x64 where others say amd64."""
    return f"pulumi-v{version}-{system.lower()}-{'x64' if arch == 'amd64' else arch}.tar.gz"


def own_cli(context: Context) -> tuple[Cli | None, str]:
    """Look at the `pulumi` on PATH; return it if it can be used, or a note for the user."""
    program = context.which("pulumi")
    if program is None:
        return None, ""
    version = versions.parse(answer([str(program), "version"], pulumi_environment(context)) or "")
    if version is None:
        return None, f"{program} did not print its version, so it is not used"
    if version < PULUMI_MINIMUM:
        return None, f"{program} is {version}, older than {PULUMI_MINIMUM}, so it is not used"
    beside = (program.parent / HOST, program.resolve().parent / HOST)
    if not any(path.exists() for path in beside) and context.which(HOST) is None:
        return None, f"{program} has no {HOST} beside it or on PATH, so it is not used"
    return Cli(version, Source.OWN, None), ""


def provide_cli(context: Context) -> tuple[Cli, Done]:
    """Return the CLI to use, in the order: the user's own, the vendor's, built."""
    own, note = own_cli(context)
    notes: tuple[str, ...] = (note,) if note else ()
    if own:
        return own, Done(f"Pulumi CLI {own.version}", own.source)
    cached = _cached(context)
    if cached:
        return cached, Done(f"Pulumi CLI {cached.version}", cached.source, notes=notes)
    try:
        made, changed = _from_vendor(context), True
    except UnreachableError as error:
        notes += (f"the vendor's Pulumi CLI cannot be fetched ({error}): built instead",)
        made, changed = _built(context)
    return made, Done(f"Pulumi CLI {made.version}", made.source, changed=changed, notes=notes)


def _cached(context: Context) -> Cli | None:
    root = context.cache.root
    newest = newest_vendor(path.name for path in root.iterdir()) if root.is_dir() else None
    if newest:
        folder = context.cache.path(key(Source.VENDOR, newest))
        return Cli(newest, Source.VENDOR, folder)
    built = key(Source.BUILT, PULUMI_MINIMUM)
    if context.cache.has(built) and not context.retry:
        return Cli(PULUMI_MINIMUM, Source.BUILT, context.cache.path(built))
    return None


def _from_vendor(context: Context) -> Cli:
    arch = context.machine.architecture
    if arch is None:
        raise UnreachableError("no release for this machine's architecture is known")
    context.progress.doing("asking the vendor for its current Pulumi CLI")
    latest = context.fetcher.text(LATEST)
    version = versions.parse(latest)
    if version is None or version < PULUMI_MINIMUM:
        raise UnreachableError(f"{LATEST} says {latest[:40]!r}, which is not a usable version")
    name = archive_name(version, os.uname().sysname, arch)

    def make(folder: Path) -> None:
        context.progress.doing(f"Pulumi CLI {version} from its vendor")
        expected = published_checksum(
            context.fetcher.text(f"{RELEASES}/pulumi-{version}-checksums.txt"), name
        )
        if expected is None:
            raise UnreachableError(f"the vendor publishes no checksum of {name}")
        with context.progress.alive():
            context.fetcher.file(f"{RELEASES}/{name}", folder / name)
        verify(folder / name, expected)
        unpack(folder / name, folder)
        (folder / name).unlink()

    context.cache.provide(key(Source.VENDOR, version), make)
    return Cli(version, Source.VENDOR, context.cache.path(key(Source.VENDOR, version)))


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the programs of a release, which are all in its folder `pulumi`, into `folder`."""
    with tarfile.open(archive) as packed:
        for member in packed:
            path = Path(member.name)
            content = packed.extractfile(member) if member.isfile() else None
            if content and path.parts[:-1] == ("pulumi",):
                (folder / path.name).write_bytes(content.read())
                (folder / path.name).chmod(0o755)
    if not (folder / "pulumi").exists() or not (folder / HOST).exists():
        raise SetupError(
            f"{archive.name} does not hold pulumi and {HOST}",
            "install the Pulumi CLI by hand (https://www.pulumi.com/docs/install/)",
        )


def _built(context: Context) -> tuple[Cli, bool]:
    name = key(Source.BUILT, PULUMI_MINIMUM)
    changed = context.cache.provide(name, lambda folder: build_cli(context, folder))
    return Cli(PULUMI_MINIMUM, Source.BUILT, context.cache.path(name)), changed
