"""How a command reaches a stack's containers: by their labels, on the engine of DOCKER_HOST."""

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
"""Bytes of a log's line; Postfix's own are shorter."""
_SHOWN = 500


class Unreachable(Exception):
    """A container could not be asked; the text says why and what to do."""


def add_options(parser: argparse.ArgumentParser, role: str) -> None:
    """`--stack`, `--container`. `role`: as in the label `tlsgate.role`."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--stack",
        default=os.environ.get("PULUMI_STACK"),
        metavar="NAME",
        help=f"whose {role} is asked (default: $PULUMI_STACK, else the only {role} there is)",
    )
    where.add_argument("--container", metavar="NAME", help=f"the {role}'s container, by its name")


@contextmanager
def container(options: argparse.Namespace, role: str, timeout: int) -> Iterator[Any]:
    """The container of the role that the options choose. Raises Unreachable.

    `timeout`: seconds that the engine may be silent. Its errors, inside too, are Unreachable.
    """
    docker = _docker()
    try:
        client = docker.from_env(timeout=timeout)
        try:
            yield _find(client, options, role)
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as fault:
        raise Unreachable(
            f"The Docker engine does not do it: {fault}.\n"
            f"See that it runs, that DOCKER_HOST leads to it, and that the {role} is up."
        ) from fault


def output(found: Any, command: list[str]) -> str:
    """Return what a command prints in the container. Raises Unreachable if it fails."""
    done = found.exec_run(command, demux=True)
    printed, errors = (part or b"" for part in done.output)
    if done.exit_code != 0:
        raise Unreachable(
            f"`{' '.join(command)}` ended with {done.exit_code} in the container {found.name}:"
            f" {visible(errors[:_SHOWN].decode(errors='replace').strip())}"
        )
    text: str = printed.decode(errors="replace")
    return text


def log_lines(found: Any, since: datetime) -> Iterator[str]:
    """Yield what the container has printed since a time, each line behind its RFC 3339 time.

    A line is cut at LINE_LIMIT; no more than one is in memory. Raises OSError.
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
    """Yield the lines of a stream without their ends; what is beyond `limit` bytes is dropped."""
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
        raise Unreachable(
            f"No {role}{which} runs on this engine. Deploy the stack with `pulumi up`, or name it"
            " with --stack."
        )
    names = ", ".join(sorted(one.labels["tlsgate.stack"] for one in found))
    raise Unreachable(f"There are {role}s of several stacks: {names}. Name one with --stack.")


def _docker() -> Any:
    """The engine's library: only a machine that deploys has it."""
    try:
        return importlib.import_module("docker")
    except ImportError:
        raise Unreachable(
            "This command needs the Docker SDK, which the deploying machine has: "
            "`uv sync --group deploy`, or run it there."
        ) from None
