"""Programs built from their Go sources, pinned by the go.mod and go.sum files of a module folder.

Go itself: the user's, if it is new enough, or the Go project's own toolchain, which it publishes
on its module proxy (the same archive that `go` fetches for GOTOOLCHAIN), pinned by SHA-256. Neither
needs root, and Debian's golang is too old for these sources.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from toolchain import versions
from toolchain.commands import answer, run_logged
from toolchain.context import Context
from toolchain.errors import SetupError, UnreachableError
from toolchain.fetch import verify

_ATTEMPTS: Final = 3
_PAUSE: Final = 2.0
_PASSING: Final = (
    r"i/o timeout|connection reset|unexpected EOF|TLS handshake timeout|server misbehaving"
    r"|: 50[234] |Temporary failure"
)
_PUBLIC_PROXY: Final = "https://proxy.golang.org"


def proxy_address(goproxy: str) -> str:
    """Return the first server that GOPROXY names, or Go's public one."""
    for entry in goproxy.replace("|", ",").split(","):
        if entry.strip().startswith("https://"):
            return entry.strip().rstrip("/")
    return _PUBLIC_PROXY


def is_usable(version: versions.Version | None) -> bool:
    """Return whether a Go of this version builds the pinned sources."""
    return version is not None and version >= versions.GO_MINIMUM


def find_or_fetch_go(context: Context) -> Path:
    """Return a `go` that is new enough."""
    own = context.which("go")
    if own and is_usable(
        versions.parse(answer([str(own), "env", "GOVERSION"], context.environment) or "")
    ):
        return own
    arch = context.machine.architecture
    if os.uname().sysname != "Linux" or arch is None:
        raise SetupError(
            f"Go {versions.GO_MINIMUM} or later is needed to build tools and is not on PATH",
            "install it (https://go.dev/doc/install), then run set-up again",
        )
    key = f"go-{versions.GO_TOOLCHAIN}-{arch}"
    context.cache.provide(key, lambda folder: _fetch_go(context, arch, folder))
    return context.cache.path(key) / "go/bin/go"


def _fetch_go(context: Context, arch: str, folder: Path) -> None:
    name = f"v0.0.1-go{versions.GO_TOOLCHAIN}.linux-{arch}"
    proxy = proxy_address(context.environment.get("GOPROXY", ""))
    archive = folder / f"{name}.zip"
    context.progress.doing(f"Go {versions.GO_TOOLCHAIN} from {proxy}, 70 MB")
    try:
        with context.progress.alive():
            context.fetcher.file(f"{proxy}/golang.org/toolchain/@v/{name}.zip", archive)
    except UnreachableError as error:
        raise SetupError(
            f"Go {versions.GO_MINIMUM} or later is not on PATH and cannot be fetched: {error}",
            "install Go by hand, or set GOPROXY to a server that this machine reaches",
        ) from error
    verify(archive, versions.GO_TOOLCHAIN_SHA256[arch])
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    archive.unlink()
    root = folder / "go"
    (folder / f"golang.org/toolchain@{name}").rename(root)
    (folder / "golang.org").rmdir()
    # What the go command does too: a module's archive has no run bits and no nested go.mod.
    for program in (*(root / "bin").iterdir(), *(root / "pkg/tool").rglob("*")):
        if program.is_file():
            program.chmod(0o755)
    for renamed in (root / "src").rglob("_go.mod"):
        renamed.rename(renamed.with_name("go.mod"))


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a build: the user's, without what would change its result.

    CGO_ENABLED=0 makes programs that run on any Linux of the architecture, in images too.
    """
    return {**environment, "CGO_ENABLED": "0", "GOWORK": "off", "GO111MODULE": "on"}


def build(
    context: Context,
    go: Path,
    module: Path,
    package: str,
    target: Path,
    *,
    ldflags: str = "-s -w",
    note: str = "",
) -> None:
    """Build one program of the folder `module`, which holds go.mod and go.sum, to `target`."""
    what = f"{target.name} built from its source with Go{note}"
    for attempt in range(1, _ATTEMPTS + 1):
        context.progress.doing(what if attempt == 1 else f"{what}, attempt {attempt}")
        try:
            _build_once(context, go, module, package, target, ldflags=ldflags)
        except SetupError as error:
            if attempt == _ATTEMPTS or not is_passing(error.details):
                raise
            time.sleep(_PAUSE)
        else:
            return


def is_passing(log: Iterable[str]) -> bool:
    """Return whether a build failed on the network, judged by the end of its log; a retry may help.

    The go command asks each server once; what it has fetched by then it keeps.
    """
    return any(re.search(_PASSING, line) for line in log)


def _build_once(
    context: Context, go: Path, module: Path, package: str, target: Path, *, ldflags: str
) -> None:
    run_logged(
        [str(go), "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={ldflags}",
         "-o", str(target), package],
        log=context.log(f"build-{target.name}"),
        progress=context.progress,
        environment=build_environment(context.environment),
        remedy="make a Go module proxy reachable (GOPROXY, SSL_CERT_FILE), then run set-up again; "
        "what was downloaded is kept",
        cwd=module,
    )  # fmt: skip


def copy_from_module(
    context: Context, go: Path, module: Path, path: str, files: dict[str, Path]
) -> None:
    """Copy files of a module's folder in the module cache, with the run bit that it lacks there.

    `module`: the folder with go.mod; `path`: the module's import path;
    `files`: source path within the module, and target.
    """
    command = [str(go), "-C", str(module), "list", "-m", "-mod=readonly"]
    folder = answer([*command, "-f={{.Dir}}", path], build_environment(context.environment))
    if not folder:
        raise SetupError(f"Go has no folder of the module {path}", "run set-up again")
    for source, target in files.items():
        shutil.copyfile(Path(folder) / source, target)
        target.chmod(0o755)
