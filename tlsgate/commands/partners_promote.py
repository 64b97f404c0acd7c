"""`tlsgate partners promote`: from observed to enforced, on the evidence of the gateway itself.

JSON (`--json`), one object on stdout:

    {"problems": [], "partner", "file", "mode": "observe" | "enforce", "changed": bool,
     "missing": [text]}

A list with problems: {"problems": [{"file", "line", "key", "code", "message", "remedy"}, …]}.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.onboarding.evidence import (
    BadEvidenceError,
    Observed,
    Wanted,
    read_evidence,
    shortfalls,
    summary,
)
from tlsgate.onboarding.promotion import ground_of_evidence, ground_of_override, promoted
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Mode, Partner
from tlsgate.partners.values import REASON_LENGTH, RefusedError, parse_text
from tlsgate.problems import ProblemsError, shown, visible

EXIT_MISSING = 3

SUMMARY = "enforce a partner that was observed, once there is enough clean evidence"
_EPILOG = """\
The evidence is what the gateway counted, each way, since the last message that would have been held
or refused, for exactly the rules that the file has now. The change of the file goes out by pull
request; a comment in it says what it rests on.

examples:
  tlsgate partners promote "Acme Motors AG" --stack prod
  tlsgate partners promote acme-motors --evidence observations.json
  tlsgate partners promote acme.example --stack prod --override "never writes to us, ticket 4711"

exit status: 0 enforced now, or before; 3 the evidence is not enough: what is missing is told;
1 the list or the evidence has problems; 2 wrong usage
"""


class _StopError(Exception):
    """The command cannot go on; the text says why and what to do."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("partner", metavar="NAME", help="the partner's name, file or domain")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--stack",
        default=os.environ.get("PULUMI_STACK"),
        metavar="NAME",
        help="whose gateway is asked (default: $PULUMI_STACK)",
    )
    source.add_argument(
        "--evidence",
        metavar="FILE",
        type=Path,
        help="what `python3 -m tlsgate.policy observations` printed in the policy container",
    )
    wanted = Wanted()
    for option, number, what in (
        ("--days", wanted.days, "days observed, each way"),
        ("--outbound", wanted.outbound, "messages to the partner"),
        ("--inbound", wanted.inbound, "messages from the partner"),
    ):
        parser.add_argument(
            option, metavar="NUMBER", type=_number, default=number, help=f"{what} ({number})"
        )
    parser.add_argument(
        "--override", metavar="REASON", type=_reason, help="enforce it in spite of what is missing"
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path("partners"),
        help="the folder of partner files (default: partners)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number")
    return int(text)


def _reason(text: str) -> str:
    try:
        return parse_text(REASON_LENGTH)(text)
    except RefusedError as refusal:
        message = f"{shown(text)} {refusal.message}. {refusal.remedy}"
        raise argparse.ArgumentTypeError(message) from None


def _run(options: argparse.Namespace) -> int:
    try:
        partner = _find(options.partner, load_partners(options.folder))
        missing: Sequence[str] = ()
        if partner.mode is Mode.OBSERVE:
            missing = _promote(partner, options)
    except ProblemsError as error:
        if options.json:
            print(json.dumps({"problems": [one.to_dict() for one in error.problems]}, indent=2))
        else:
            print(error, file=sys.stderr)
        return EXIT_PROBLEMS
    except _StopError as error:
        print(f"tlsgate partners promote: {error}", file=sys.stderr)
        return EXIT_PROBLEMS
    refused = bool(missing) and options.override is None
    if options.json:
        _print_json(partner, missing, refused)
    else:
        _print_text(partner, missing, refused)
    return EXIT_MISSING if refused else EXIT_OK


def _print_json(partner: Partner, missing: Sequence[str], refused: bool) -> None:
    told = {
        "problems": [],
        "partner": partner.name,
        "file": partner.file,
        "mode": (Mode.OBSERVE if refused else Mode.ENFORCE).value,
        "changed": partner.mode is Mode.OBSERVE and not refused,
        "missing": list(missing),
    }
    print(json.dumps(told, indent=2))


def _print_text(partner: Partner, missing: Sequence[str], refused: bool) -> None:
    if partner.mode is Mode.ENFORCE:
        print(f"{partner.file}: {partner.name} is enforced already")
        return
    if refused:
        print(f"{partner.file}: {partner.name} stays observed; what is missing:")
    else:
        print(f"{partner.file}: {partner.name} is enforced from the next `pulumi up` on")
    if missing and not refused:
        print("overridden, with the reason in the file:")
    for one in missing:
        print(f"  {one}")


def _find(wanted: str, partners: Sequence[Partner]) -> Partner:
    """The one with this name, file or domain, whatever its letters' case."""
    known: dict[str, Partner] = {}
    for partner in partners:
        for key in (*partner.domains, Path(partner.file).stem, Path(partner.file).name):
            known[key] = partner
    known.update({partner.name.casefold(): partner for partner in partners})
    found = known.get(wanted.casefold())
    if found is None:
        near = difflib.get_close_matches(wanted.casefold(), known, 1)
        hint = f" Is {shown(known[near[0]].name)} meant?" if near else ""
        raise _StopError(f"no partner is called {shown(wanted)}.{hint}")
    return found


def _promote(partner: Partner, options: argparse.Namespace) -> Sequence[str]:
    """Change the file, if the evidence or the override allows it; return what is missing."""
    observed = _evidence(options).get(partner.name)
    wanted = Wanted(options.days, options.outbound, options.inbound)
    missing = shortfalls(partner, observed, wanted)
    if not missing:
        ground = ground_of_evidence(_today(), summary(observed or {}))
    elif options.override is not None:
        ground = ground_of_override(_today(), options.override)
    else:
        return missing
    path = options.folder / Path(partner.file).name
    try:
        _replace(path, promoted(path.read_bytes(), partner, ground))
    except OSError as error:
        message = f"{visible(str(path))} cannot be read or written ({error.strerror})."
        raise _StopError(message) from None
    return missing


def _today() -> date:
    """Return the day where the command runs; the only look at the clock."""
    return date.today()


def _replace(path: Path, text: str) -> None:
    """Put a whole new file in the old one's place, so that it is never half written."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), path.stat().st_mode & 0o777)
            stream.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _evidence(options: argparse.Namespace) -> Mapping[str, Observed]:
    """What was observed; nothing is asked if the override stands alone."""
    if options.evidence is not None:
        name = visible(str(options.evidence))
        try:
            text = options.evidence.read_text("utf-8")
        except OSError as error:
            raise _StopError(f"{name} cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise _StopError(f"{name} is not UTF-8.") from None
    elif options.stack:
        name = f"tlsgate-{options.stack}-policy"
        text = _ask(name)
    elif options.override is not None:
        return {}
    else:
        raise _StopError(
            "where is the evidence? Name the gateway's stack with --stack, or a file with"
            " --evidence."
        )
    try:
        return read_evidence(text)
    except BadEvidenceError as fault:
        raise _StopError(f"{name}: this is no evidence of the gateway's ({fault}).") from None


def _ask(name: str) -> str:
    """What the policy container says."""
    docker = _docker()
    try:
        client = docker.from_env(timeout=30)
        try:
            command = ["python3", "-m", "tlsgate.policy", "observations"]
            done = client.containers.get(name).exec_run(command, demux=True)
        finally:
            client.close()
    except docker.errors.DockerException as fault:
        raise _StopError(
            f"{visible(name)} cannot be asked: {visible(str(fault))}. See that the stack is up and"
            " that DOCKER_HOST leads to its engine, or give --evidence."
        ) from fault
    output, errors = (part or b"" for part in done.output)
    if done.exit_code != 0:
        said = visible(errors.decode(errors="replace").strip())
        raise _StopError(f"{visible(name)} has no evidence: {said}.")
    return str(output.decode(errors="replace"))


def _docker() -> Any:
    """The engine's library: only a machine that deploys has it."""
    try:
        return importlib.import_module("docker")
    except ImportError:
        raise _StopError(
            "--stack needs the Docker SDK, which the deploying machine has: `uv sync --group"
            " deploy`. Or give --evidence, a file that was made there."
        ) from None
