"""`tlsgate partners promote`: enforces an observed partner, based on the gateway's evidence.

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
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_folder, add_option
from tlsgate.files import write
from tlsgate.onboarding.evidence import (
    BadEvidenceError,
    EvidenceThresholds,
    Observed,
    read_evidence,
    shortfalls,
    summary,
)
from tlsgate.onboarding.promotion import enforced_file, evidence_comment, override_comment
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Mode, Partner
from tlsgate.partners.values import REASON_LENGTH, InvalidValueError, parse_text
from tlsgate.problems import ProblemsError, shown, visible

EXIT_MISSING = 3

SUMMARY = "enforce a partner that was observed, once there is enough clean evidence"
_EPILOG = """\
The evidence is what the gateway counted in each direction since the last message that would have
been held or refused, for exactly the rules that the file has now. The change of the file is
proposed by pull request; a comment in the file gives the reason.

examples:
  tlsgate partners promote "Acme Motors AG" --stack prod
  tlsgate partners promote acme-motors --evidence observations.json
  tlsgate partners promote acme.example --stack prod --override "sends us no mail, ticket 4711"

exit status: 0 enforced now, or already before; 3 the evidence is not enough, and what is missing is
printed; 1 the list or the evidence has problems; 2 wrong usage
"""


class _PromotionError(Exception):
    """The command cannot continue; the message says why and what to do."""


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
        help="the stack of the gateway with the evidence (default: $PULUMI_STACK)",
    )
    source.add_argument(
        "--evidence",
        metavar="FILE",
        type=Path,
        help="the output of `python3 -m tlsgate.policy observations` in the policy container",
    )
    needed = EvidenceThresholds()
    for option, old, number, what in (
        ("--min-days", "--days", needed.days, "days observed in each direction"),
        ("--min-outbound", "--outbound", needed.outbound, "messages to the partner"),
        ("--min-inbound", "--inbound", needed.inbound, "messages from the partner"),
    ):
        add_option(
            parser,
            option,
            old=old,
            metavar="NUMBER",
            type=_number,
            default=number,
            help=f"least number of {what} (default: {number})",
        )
    parser.add_argument(
        "--override", metavar="REASON", type=_reason, help="enforce it without enough evidence"
    )
    add_folder(parser, old="--folder")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number")
    return int(text)


def _reason(text: str) -> str:
    try:
        return parse_text(REASON_LENGTH)(text)
    except InvalidValueError as refusal:
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
    except _PromotionError as error:
        print(f"tlsgate partners promote: {error}", file=sys.stderr)
        return EXIT_PROBLEMS
    refused = bool(missing) and options.override is None
    if options.json:
        _print_json(partner, missing, refused)
    else:
        _print_text(partner, missing, refused)
    return EXIT_MISSING if refused else EXIT_OK


def _print_json(partner: Partner, missing: Sequence[str], refused: bool) -> None:
    output = {
        "problems": [],
        "partner": partner.name,
        "file": partner.file,
        "mode": (Mode.OBSERVE if refused else Mode.ENFORCE).value,
        "changed": partner.mode is Mode.OBSERVE and not refused,
        "missing": list(missing),
    }
    print(json.dumps(output, indent=2))


def _print_text(partner: Partner, missing: Sequence[str], refused: bool) -> None:
    if partner.mode is Mode.ENFORCE:
        print(f"{partner.file}: {partner.name} is already enforced")
        return
    if refused:
        print(f"{partner.file}: {partner.name} stays observed; missing:")
    else:
        print(f"{partner.file}: {partner.name} is enforced from the next `pulumi up`")
    if missing and not refused:
        print("overridden, with the reason in the file; missing:")
    for one in missing:
        print(f"  {one}")


def _find(wanted: str, partners: Sequence[Partner]) -> Partner:
    """Return the partner with this name, file or domain; letter case is ignored."""
    known: dict[str, Partner] = {}
    for partner in partners:
        for key in (*partner.domains, Path(partner.file).stem, Path(partner.file).name):
            known[key] = partner
    known.update({partner.name.casefold(): partner for partner in partners})
    found = known.get(wanted.casefold())
    if found is None:
        near = difflib.get_close_matches(wanted.casefold(), known, 1)
        hint = f" Did you mean {shown(known[near[0]].name)}?" if near else ""
        raise _PromotionError(f"there is no partner {shown(wanted)}.{hint}")
    return found


def _promote(partner: Partner, options: argparse.Namespace) -> Sequence[str]:
    """Change the file, if the evidence or the override allows it; return what is missing."""
    observed = _evidence(options).get(partner.name)
    needed = EvidenceThresholds(options.min_days, options.min_outbound, options.min_inbound)
    missing = shortfalls(partner, observed, needed)
    if not missing:
        comment = evidence_comment(_today(), summary(observed or {}))
    elif options.override is not None:
        comment = override_comment(_today(), options.override)
    else:
        return missing
    path = options.folder / Path(partner.file).name
    try:
        write(path, enforced_file(path.read_bytes(), partner, comment).encode(), mode=None)
    except OSError as error:
        message = f"{visible(str(path))} cannot be read or written ({error.strerror})."
        raise _PromotionError(message) from None
    return missing


def _today() -> date:
    """Return today's local date; the clock is read only here."""
    return date.today()


def _evidence(options: argparse.Namespace) -> Mapping[str, Observed]:
    """Return what was observed; nothing if there is only an override."""
    if options.evidence is not None:
        name = visible(str(options.evidence))
        try:
            text = options.evidence.read_text("utf-8")
        except OSError as error:
            raise _PromotionError(f"{name} cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError:
            raise _PromotionError(f"{name} is not UTF-8.") from None
    elif options.stack:
        name = f"tlsgate-{options.stack}-policy"
        text = _ask(name)
    elif options.override is not None:
        return {}
    else:
        raise _PromotionError(
            "there is no evidence. Give the gateway's stack with --stack, or a file with"
            " --evidence."
        )
    try:
        return read_evidence(text)
    except BadEvidenceError as fault:
        raise _PromotionError(f"{name}: this is not evidence from the gateway ({fault}).") from None


def _ask(name: str) -> str:
    """Return the output of the policy container."""
    docker = _docker()
    try:
        client = docker.from_env(timeout=30)
        try:
            command = ["python3", "-m", "tlsgate.policy", "observations"]
            done = client.containers.get(name).exec_run(command, demux=True)
        finally:
            client.close()
    except docker.errors.DockerException as fault:
        raise _PromotionError(
            f"{visible(name)} cannot be used: {visible(str(fault))}. Check that the stack is up"
            " and that DOCKER_HOST names its engine, or give --evidence."
        ) from fault
    output, errors = (part or b"" for part in done.output)
    if done.exit_code != 0:
        said = visible(errors.decode(errors="replace").strip())
        raise _PromotionError(f"{visible(name)} has no evidence: {said}.")
    return str(output.decode(errors="replace"))


def _docker() -> Any:
    """Return the Docker SDK, which is only installed where stacks are deployed."""
    try:
        return importlib.import_module("docker")
    except ImportError:
        raise _PromotionError(
            "--stack needs the Docker SDK, which the deploying machine has: `uv sync --group"
            " deploy`. Or give --evidence, a file that was made there."
        ) from None
