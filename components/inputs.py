"""Everything that the program reads: the stack's config and the partner list.

All problems of both are told at once, before any resource is declared (nothing is changed then).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.config_reader import Locate
from components.settings import Settings
from components.settings_reader import parse_settings
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Partner
from tlsgate.problems import Problem, ProblemsError
from tlsgate.render.nexthop import lint_nexthops

NAMESPACE = "tlsgate:"
_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stack is made from."""

    settings: Settings
    partners: tuple[Partner, ...]


def read_inputs() -> Inputs:
    """Read the running stack's config and partner list; raises pulumi.RunError with all problems.

    RunError is what Pulumi prints without a Python stack.
    """
    locate = locator(Path(f"Pulumi.{pulumi.get_stack()}.yaml"))
    try:
        return parse_inputs(raw_values(CONFIG.get()), locate)
    except ProblemsError as error:
        raise pulumi.RunError(str(error)) from None


def parse_inputs(raw: Mapping[str, object], locate: Locate) -> Inputs:
    """Return settings and partners, or raise ProblemsError with the problems of both."""
    problems: list[Problem] = []
    settings: Settings | None = None
    try:
        settings = parse_settings(raw, locate)
    except ProblemsError as error:
        problems += error.problems
    directory = Path(settings.partners if settings else str(raw.get("partners", "partners")))
    partners: tuple[Partner, ...] = ()
    own_domains = settings.domains if settings else ()
    try:
        today = datetime.now(UTC).date()
        partners = load_partners(directory, own_domains=own_domains, today=today)
    except ProblemsError as error:
        problems += error.problems
    if settings is not None:
        problems += missing_files(settings, locate)
        routes = dict(settings.routes)
        problems += lint_nexthops(partners, routes, settings.domains, settings.relayhost or "")
    if problems or settings is None:
        raise ProblemsError(problems)
    return Inputs(settings, partners)


def missing_files(settings: Settings, locate: Locate) -> list[Problem]:
    """Return a problem for every file that the config names and that cannot be read."""
    named = {
        "tlsgate:acme.caFile": settings.acme.ca_file,
        "tlsgate:acme.eab.hmacKeyFile": settings.acme.eab_hmac_key_file,
        "tlsgate:dns.tsigKeyFile": settings.dns.tsig_key_file,
        "tlsgate:dns.agentTsigKeyFile": settings.dns.agent_tsig_key_file,
        "tlsgate:extraCaFile": settings.extra_ca_file,
        "tlsgate:resolver.trustAnchorFile": settings.resolver.trust_anchor_file,
        "tlsgate:images.buildCaFile": settings.images.build_ca_file,
    }
    problems = []
    for key, path in named.items():
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            message = f"{path} cannot be read ({error.strerror})"
            remedy = "Name a file that is there, relative to the project"
            problems.append(Problem(*locate(key), key, "no-file", message, remedy))
    return problems


def raw_values(config: Mapping[str, str]) -> dict[str, object]:
    """Return the values of `tlsgate:*` by their keys; structured ones come as JSON texts."""
    return {
        key.removeprefix(NAMESPACE): json.loads(value) if value[:1] in ("{", "[") else value
        for key, value in config.items()
        if key.startswith(NAMESPACE)
    }


def locator(file: Path) -> Locate:
    """Return a function from a config key to the file and line where it stands, or the nearest."""
    try:
        config = YAML(typ="rt").load(file.read_text("utf-8"))["config"]
    except (OSError, YAMLError, KeyError, TypeError):
        return lambda _key: (str(file) if file.exists() else "", 0)

    def locate(key: str) -> tuple[str, int]:
        top, *steps = _steps(key)
        line = _line(config, top)
        node = config.get(top) if line else None
        while node is not None and steps:
            # A domain as a key holds dots: the longest run of steps that is one key counts.
            for size in range(len(steps), 0, -1):
                name = ".".join(steps[:size])
                step: Any = int(name[1:-1]) if name.startswith("[") and size == 1 else name
                if found := _line(node, step):
                    line, node, steps = found, _child(node, step), steps[size:]
                    break
            else:
                break
        return str(file), line

    return locate


def _steps(key: str) -> list[str]:
    name = key.removeprefix(NAMESPACE)
    first, *rest = _STEP.findall(name)
    return [NAMESPACE + first, *rest]


def _child(node: Any, step: Any) -> Any:
    child = node[step]
    return child if hasattr(child, "lc") else None


def _line(node: Any, step: Any) -> int:
    """Return the line of a key or an item, counted from 1; 0 if there is none."""
    try:
        return int(node.lc.data[step][0]) + 1
    except (AttributeError, KeyError, TypeError, IndexError):
        return 0
