"""The order of the steps. A step that fails does not keep others from running; all is reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from toolchain.base_image import base_image
from toolchain.ca_bundle import ca_bundle
from toolchain.context import Context
from toolchain.docker_plugin import docker_plugin
from toolchain.engine import engine
from toolchain.env_file import Settings, write_env_file
from toolchain.errors import SetupError
from toolchain.pebble import pebble, pebble_program
from toolchain.progress import Done, Line
from toolchain.pulumi_cli import provide_cli
from toolchain.python_environment import python_environment

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Report:
    """What happened, step by step. `env_file`: None unless everything is there."""

    lines: list[Line] = field(default_factory=list)
    problems: list[SetupError] = field(default_factory=list)
    env_file: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether all steps were done."""
        return not self.problems


class _Runner:
    def __init__(self, context: Context, *, quiet: bool) -> None:
        self._context = context
        self._quiet = quiet
        self.report = Report()

    def step(self, name: str, action: Callable[[], tuple[_Result, Done]]) -> _Result | None:
        """Run one step; None when it failed."""
        started = time.monotonic()
        try:
            result, done = action()
        except SetupError as error:
            self.report.problems.append(error)
            seconds = time.monotonic() - started
            self._line(Line(name, "failed", seconds, name, error.problem, notes=error.details))
            return None
        seconds = time.monotonic() - started
        self._line(
            Line(name, "ok", seconds, done.what, done.source, done.changed, notes=done.notes)
        )
        return result

    def skip(self, name: str, reason: str) -> None:
        """Note a step that cannot run."""
        self._line(Line(name, "skipped", 0.0, name, reason))

    def _line(self, line: Line) -> None:
        self.report.lines.append(line)
        if self._quiet and line.status == "ok" and not line.changed:
            return
        self._context.progress.say(str(line))
        for note in line.notes:
            self._context.progress.say(f"        {note}")


def set_up_python(context: Context, *, quiet: bool = False) -> Report:
    """Set up the Python environment alone: enough for lint and unit tests."""
    runner = _Runner(context, quiet=quiet)
    runner.step("Python environment", lambda: python_environment(context))
    return runner.report


def set_up(context: Context, *, quiet: bool = False) -> Report:
    """Set up everything. `quiet`: say only what this run changes."""
    runner = _Runner(context, quiet=quiet)
    uv = runner.step("Python environment", lambda: python_environment(context))
    address = runner.step("Docker engine", lambda: engine(context))
    image: str | None = None
    if address is None:
        runner.skip("base image", "without a Docker engine")
    else:
        image = runner.step("base image", lambda: base_image(context, address))
    built = runner.step("Pebble", lambda: (True, pebble(context)))
    cli = runner.step("Pulumi CLI", lambda: provide_cli(context))
    stand_in: bool | None = None
    if cli is None:
        runner.skip("Docker plugin", "without the Pulumi CLI")
    else:
        stand_in = runner.step("Docker plugin", lambda: docker_plugin(context, cli))
    build_ca = runner.step("CA bundle", lambda: ca_bundle(context))
    if uv and address and image and built and cli and stand_in is not None:
        folders = [context.repository / ".venv/bin"]
        folders += [context.state / "bin"] if stand_in else []
        folders += [cli.folder] if cli.folder else []
        folders += [uv.parent] if uv.is_relative_to(context.cache.root) else []
        program = pebble_program(context)
        runner.report.env_file = write_env_file(
            context,
            Settings(
                repository=context.repository,
                folders=(*folders, program.parent),
                engine=address,
                base_image=image,
                pebble=program,
                stand_in=stand_in,
                build_ca=build_ca,
            ),
        )
    return runner.report
