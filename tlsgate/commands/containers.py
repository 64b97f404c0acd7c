"""Finds the containers of a stack by their labels, on the Docker engine of DOCKER_HOST."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from tlsgate.problems import visible

LINE_LIMIT = 1 << 14
"""Bytes of a line of a log; Postfix's own lines are shorter."""
_SHOWN = 500


class UnreachableError(Exception):
    """A container cannot be used; the message says why and what to do."""


def add_options(parser: argparse.ArgumentParser, role: str) -> None:
    """Add `--stack` and `--container`. `role`: as in the label `tlsgate.role`."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--stack",
        default=os.environ.get("PULUMI_STACK"),
        metavar="NAME",
        help=f"the stack of the {role} (default: $PULUMI_STACK, else the only {role} there is)",
    )
    where.add_argument("--container", metavar="NAME", help=f"the name of the {role}'s container")


@contextmanager
def container(options: argparse.Namespace, role: str, timeout: int) -> Iterator[Any]:
    """Return the container of the role that the options choose. Raises UnreachableError.

    `timeout`: seconds to wait for the engine. Its errors, also inside the context, are raised as
    UnreachableError.
    """
    docker = _docker()
    try:
        client = docker.from_env(timeout=timeout)
        try:
            yield _find(client, options, role)
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as fault:
        raise UnreachableError(
            f"The Docker engine reports an error: {fault}.\n"
            f"Check that it runs, that DOCKER_HOST names it, and that the {role} is up."
        ) from fault


def output(found: Any, command: list[str]) -> str:
    """Return what a command prints in the container. Raises UnreachableError if it fails."""
    done = found.exec_run(command, demux=True)
    printed, errors = (part or b"" for part in done.output)
    if done.exit_code != 0:
        raise UnreachableError(
            f"`{' '.join(command)}` ended with {done.exit_code} in the container {found.name}:"
            f" {visible(errors[:_SHOWN].decode(errors='replace').strip())}"
        )
    text: str = printed.decode(errors="replace")
    return text


def log_lines(found: Any, since: datetime) -> Iterator[str]:
    """Yield what the container has printed since a time, each line after its RFC 3339 time.

    A line is cut at LINE_LIMIT; only one line at a time is in memory. Raises OSError.
    """
    stream = found.logs(
        stdout=True,
        stderr=False,
        stream=True,
        follow=False,
        timestamps=True,
        since=since.timestamp(),
    )
    try:
        yield from split(stream)
    finally:
        stream.close()


def split(chunks: Iterable[bytes], limit: int = LINE_LIMIT) -> Iterator[str]:
    """Yield the lines of a stream without line ends; each is cut after `limit` bytes."""
    held = bytearray()
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for line in ended:
            held += line[: limit - len(held)]
            yield held.decode("utf-8", "replace")
            held.clear()
        held += rest[: limit - len(held)]
    if held:
        yield held.decode("utf-8", "replace")


def _find(client: Any, options: argparse.Namespace, role: str) -> Any:
    if options.container:
        return client.containers.get(options.container)
    labels = [f"tlsgate.role={role}"]
    if options.stack:
        labels.append(f"tlsgate.stack={options.stack}")
    found = client.containers.list(filters={"label": labels})
    if len(found) == 1:
        return found[0]
    which = f" of stack {options.stack}" if options.stack else ""
    if not found:
        raise UnreachableError(
            f"No {role}{which} runs on this engine. Deploy the stack with `pulumi up`, or choose it"
            " with --stack."
        )
    names = ", ".join(sorted(one.labels["tlsgate.stack"] for one in found))
    raise UnreachableError(
        f"There are {role}s of several stacks: {names}. Choose one with --stack."
    )


def _docker() -> Any:
    """Return the Docker SDK, which is only installed where stacks are deployed."""
    try:
        return importlib.import_module("docker")
    except ImportError:
        raise UnreachableError(
            "This command needs the Docker SDK, which the deploying machine has: "
            "`uv sync --group deploy`, or run it there."
        ) from None
