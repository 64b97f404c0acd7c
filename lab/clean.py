"""`make clean`: removes the lab and the demo from this machine, with their mail and their keys.

It removes only what has one of the project's labels: `tlsgate.lab`, `tlsgate.dev` (created by
tests), and `tlsgate.stack` of the demo and of tests. Gateways of other stacks stay, with their
Pulumi state. Then it stops the Docker engine, if set-up started it and no other gateway runs on it.
The tool cache and .venv stay.

It uses only the standard library, so that it also works after an incomplete set-up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toolchain import ca_bundle, dockerd
from toolchain.cache import Cache, cache_folder
from toolchain.context import Context, this_machine
from toolchain.engine import address_of
from toolchain.engine_api import AddressError, EngineApi, EngineError
from toolchain.errors import SetupError
from toolchain.fetch import Fetcher, Unreachable
from toolchain.progress import Progress

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
_STACK: Final = "tlsgate.stack"
_LABELS: Final = ("tlsgate.lab", "tlsgate.dev", _STACK)
# Containers first: networks and volumes cannot be removed while containers use them.
_KINDS: Final = ("containers", "networks", "volumes")
_OPTIONS: Final = {"containers": {"force": "true", "v": "true"}, "networks": {}, "volumes": {}}


def is_ours(stack: str) -> bool:
    """Tell whether a stack is the demo's or a test's: it is called `demo` or `test…`."""
    return stack == "demo" or stack.startswith("test")


def is_selected(labels: Mapping[str, str]) -> bool:
    """Tell by its labels whether a Docker object is removed. A real gateway's never is."""
    if _STACK in labels:
        return is_ours(labels[_STACK])
    return any(key in labels for key in _LABELS)


def other_stacks(backend: Path) -> list[str]:
    """Return the stacks in a Pulumi state folder that are neither the lab's nor the demo's."""
    found = set()
    for file in backend.glob(".pulumi/stacks/*/*.json*"):
        project, stack = file.parent.name, file.name.partition(".json")[0]
        if not is_ours(stack) and (project, stack) != ("tlsgate-lab", "lab"):
            found.add(f"{project}/{stack}")
    return sorted(found)


@dataclass(slots=True)
class CleanupReport:
    """What was removed, what was kept and why, and what failed."""

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def clean_engine(api: EngineApi, report: CleanupReport, *, dry_run: bool) -> list[str]:
    """Remove containers, networks and volumes; return the names of other stacks' containers."""
    others = [
        _name("containers", thing)
        for thing in api.listing("containers", _STACK)
        if not is_selected(thing["Labels"])
    ]
    for kind in _KINDS:
        things = {}
        for label in _LABELS:
            for thing in api.listing(kind, label):
                if is_selected(thing.get("Labels") or {}):
                    things[_identity(kind, thing)] = _name(kind, thing)
        for identity, name in sorted(things.items(), key=lambda item: item[1]):
            try:
                if not dry_run:
                    api.remove(kind, identity, _OPTIONS[kind])
            except EngineError as error:
                report.failed.append(f"{kind.removesuffix('s')} {name}: {error}")
            else:
                report.removed.append(f"{kind.removesuffix('s')} {name}")
    return others


def _identity(kind: str, thing: Mapping[str, Any]) -> str:
    return str(thing["Name"] if kind == "volumes" else thing["Id"])


def _name(kind: str, thing: Mapping[str, Any]) -> str:
    return str(thing["Names"][0]).lstrip("/") if kind == "containers" else str(thing["Name"])


def clean_files(repository: Path, report: CleanupReport, *, dry_run: bool) -> None:
    """Remove the state of the lab and the demo; keep the state of other stacks."""
    state = repository / ".state"
    others = other_stacks(state / "backend")
    paths: Iterable[Path] = [state]
    if others:
        report.kept.append(f".state/backend: it holds the stacks {', '.join(others)}")
        paths = (path for path in state.iterdir() if path.name != "backend")
    lab = (repository / "lab/.state", repository / "lab/endpoints.json")
    for path in (*paths, *lab, repository / ca_bundle.COPY):
        if path.is_dir() and not path.is_symlink():
            if not dry_run:
                shutil.rmtree(path)
        elif path.exists():
            if not dry_run:
                path.unlink()
        else:
            continue
        report.removed.append(f"{path.relative_to(repository)}")


def _stop_engine(context: Context, report: CleanupReport, *, dry_run: bool) -> None:
    record = dockerd.read_record(context.state)
    try:
        if record and not dry_run:
            dockerd.stop(context.state)
    except SetupError as error:
        report.failed.append(f"{error.problem}: {error.remedy}")
    else:
        if record:
            report.removed.append(f"dockerd, process {record.pid}, which set-up started")


def _context() -> Context:
    cache = Cache(cache_folder(os.environ), Progress(sys.stdout))
    return Context(
        repository=_REPOSITORY,
        environment=dict(os.environ),
        machine=this_machine(),
        cache=cache,
        fetcher=Fetcher(Unreachable(cache.root / "unreachable.json")),
        progress=Progress(sys.stdout),
    )


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python3 -m lab.clean", description=__doc__)
    made.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    made.add_argument(
        "--engine-only",
        action="store_true",
        help="only stop the Docker engine that set-up started in this clone, with its containers",
    )
    made.add_argument(
        "--containers-only",
        action="store_true",
        help="only remove containers, networks and volumes, including those of other clones' labs",
    )
    return made


def clean(context: Context, *, dry_run: bool) -> CleanupReport:
    """Remove everything of the lab and the demo."""
    report = CleanupReport()
    record = dockerd.read_record(context.state)
    address = record.address if record else address_of(context)
    others: list[str] = []
    try:
        others = clean_engine(EngineApi(address), report, dry_run=dry_run)
    except (AddressError, EngineError) as error:
        reason = f"the Docker engine at {address} does not answer ({error})"
        report.kept.append(f"containers, networks and volumes: {reason}")
    if record and others:
        report.kept.append(f"dockerd, process {record.pid}: on it run {', '.join(sorted(others))}")
        report.kept.append(".state: it says which process that is")
        return report
    _stop_engine(context, report, dry_run=dry_run)
    # Stopping the engine needs files of the state: they are removed only after it has stopped.
    if not report.failed:
        clean_files(context.repository, report, dry_run=dry_run)
    report.kept.append(f"tools in {context.cache.root}, the environment .venv, Docker images")
    return report


def main(arguments: Sequence[str]) -> int:
    """Clean up, print the result, and return the exit code: 1 if something could not be removed."""
    options = _parser().parse_args(arguments)
    context = _context()
    if options.engine_only:
        report = CleanupReport()
        _stop_engine(context, report, dry_run=options.dry_run)
    elif options.containers_only:
        report = CleanupReport()
        record = dockerd.read_record(context.state)
        api = EngineApi(record.address if record else address_of(context))
        clean_engine(api, report, dry_run=options.dry_run)
    else:
        report = clean(context, dry_run=options.dry_run)
    verb = "would remove" if options.dry_run else "removed"
    for line in report.removed:
        print(f"{verb} {line}")
    for line in report.kept:
        print(f"kept {line}")
    for line in report.failed:
        print(f"FAILED {line}")
    if not report.removed and not options.engine_only:
        print("nothing to remove")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
