"""Arguments, signals, the summary and the exit code of set-up.

Exit codes: 0 all is there, 1 a step failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from toolchain.context import this_clone
from toolchain.progress import Progress
from toolchain.run import Report, set_up, set_up_python

_EPILOG: Final = """\
environment:
  XDG_CACHE_HOME        tools are kept in $XDG_CACHE_HOME/tlsgate (default ~/.cache/tlsgate)
  DOCKER_HOST           the Docker engine to use; default: the docker command's
  TLSGATE_BASE_IMAGE    another base image than debian:trixie-slim
  TLSGATE_ENGINE_ROOT   start an engine of its own, all of whose files are in this folder
  TLSGATE_ENGINE_FLAGS  more dockerd options for an engine that set-up starts
  GOPROXY, PIP_INDEX_URL, HTTPS_PROXY, SSL_CERT_FILE, PIP_CERT   as the tools themselves read them

It is safe to interrupt and to repeat. Afterwards: . .state/env.sh
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="python3 -m toolchain",
        description="Install what tlsgate needs on this machine; do nothing where all is there.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "need",
        nargs="?",
        choices=("all", "python"),
        default="all",
        help="python: the Python environment alone, enough for lint and unit tests",
    )
    made.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    made.add_argument(
        "--retry",
        action="store_true",
        help="ask servers again that did not answer within the last day, and prefer the vendor's "
        "Pulumi CLI to one that was built",
    )
    made.add_argument(
        "--quiet", action="store_true", help="say only what this run changes, and no summary"
    )
    return made


def summary(report: Report, cache: Path) -> str:
    """Return the one-screen result."""
    width = max(len(line.what) for line in report.lines)
    rows = [f"  {line.status:<8}{line.what:<{width}}  {line.source}" for line in report.lines]
    text = ["", "Set-up:", *rows]
    if report.problems:
        text += ["", "To do:"]
        for error in report.problems:
            text += [f"  - {error.problem}", f"    -> {error.remedy}"]
    else:
        text += [f"  tools are kept in {cache}"]
    if report.env_file:
        text += ["  next: make demo   (by hand: . .state/env.sh)"]
    return "\n".join(text)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Run set-up and return the exit code."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # under nohup it is ignored
        signal.signal(signal.SIGHUP, _interrupt)
    progress = Progress(sys.stderr if options.json else sys.stdout)
    context = this_clone(dict(os.environ), progress, retry=options.retry)
    if options.retry:
        context.fetcher.unreachable.forget()
    started = time.monotonic()
    try:
        steps = set_up_python if options.need == "python" else set_up
        report = steps(context, quiet=options.quiet)
    except KeyboardInterrupt:
        doing = f" during: {progress.current}" if progress.current else ""
        progress.say(f"interrupted{doing}\nWhat was finished is kept: run set-up again to go on.")
        return 130
    if options.json:
        document = {
            "ok": report.ok,
            "steps": [line.as_dict() for line in report.lines],
            "problems": [
                {"problem": error.problem, "remedy": error.remedy, "details": list(error.details)}
                for error in report.problems
            ],
            "env_file": str(report.env_file) if report.env_file else None,
            "cache": str(context.cache.root),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif options.quiet and report.ok:
        progress.say(f"ok      set-up: all is there ({time.monotonic() - started:.1f} s)")
    else:
        progress.say(summary(report, context.cache.root))
    return 0 if report.ok else 1
