"""The checked inputs of a gateway: the stack's config and the partner list.

All problems of both are reported at once, before any resource is declared, so nothing is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from tlsgate.partners.load import check_partners, load_partners
from tlsgate.partners.model import Partner
from tlsgate.problems import ProblemsError
from tlsgate.recipients import load_recipients
from tlsgate.render.nexthop import lint_nexthops
from tlsgate.render.postfix_settings import is_address
from tlsgate_pulumi.config_files import file_problems
from tlsgate_pulumi.config_reader import Locate
from tlsgate_pulumi.docker_engine import DockerEngine, stack_engine
from tlsgate_pulumi.engine import DeploymentError, require_engine
from tlsgate_pulumi.settings import Settings
from tlsgate_pulumi.settings_reader import read_settings

NAMESPACE = "tlsgate:"
IMAGES = ("postfix", "policy", "policy-host", "resolver", "agent", "notices")


@dataclass(frozen=True, slots=True)
class Addresses:
    """The public addresses of the MX host and of the policy host."""

    gateway: Sequence[pulumi.Input[str]]
    policy_host: Sequence[pulumi.Input[str]]

    def have_outputs(self) -> bool:
        """Return whether one of them comes from another resource."""
        return any(isinstance(one, pulumi.Output) for one in (*self.gateway, *self.policy_host))


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a gateway is made from.

    `stack`: part of every name on the Docker engine. `image_ids`: of images that are not built.
    `network`, `addresses`: replace those in `settings` if they come from another resource.
    """

    settings: Settings
    partners: tuple[Partner, ...]
    stack: str = ""
    engine: DockerEngine | str | None = None
    build_folder: str = ".tlsgate"
    image_ids: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    network: pulumi.Input[str] | None = None
    addresses: Addresses | None = None

    def complete_settings(self) -> Settings | pulumi.Output[Settings]:
        """Return the settings with all addresses, which may be known only later."""
        if self.addresses is None:
            return self.settings
        return pulumi.Output.all(
            gateway=list(self.addresses.gateway), policy_host=list(self.addresses.policy_host)
        ).apply(lambda found: with_addresses(self.settings, **found))


def with_addresses(
    settings: Settings, gateway: Sequence[str], policy_host: Sequence[str]
) -> Settings:
    """Return the settings with these public addresses. Raises pulumi.RunError for a wrong one."""
    for one in (*gateway, *policy_host):
        if not is_address(one):
            raise pulumi.RunError(
                f"{one!r} was given as a public address, but is not an IP address"
            )
    host = replace(settings.gateways[0], addresses=tuple(gateway))
    mta_sts = replace(settings.mta_sts, addresses=tuple(policy_host))
    return replace(settings, gateways=(host,), mta_sts=mta_sts)


def read_inputs() -> Inputs:
    """Read the running stack's config and partner list. Raises pulumi.RunError with all problems.

    It also raises if no Docker engine can run the stack: without one, a preview could not show
    what `up` would do. Pulumi prints a RunError without a Python stack trace.
    """
    locate = locator(Path(f"Pulumi.{pulumi.get_stack()}.yaml"))
    try:
        inputs = parse_inputs(raw_values(CONFIG.get()), locate)
        require_engine(stack_engine())
    except (ProblemsError, DeploymentError) as error:
        raise pulumi.RunError(str(error)) from None
    return replace(inputs, stack=pulumi.get_stack())


def parse_inputs(
    raw: Mapping[str, object], locate: Locate, given_partners: tuple[Partner, ...] | None = None
) -> Inputs:
    """Return settings and partners. Raises ProblemsError with the problems of both.

    `given_partners`: the partners, if they are not read from the folder in the config.
    """
    settings, problems = read_settings(raw, locate)
    problems += file_problems(settings, locate)
    partners: tuple[Partner, ...] = ()
    own, today = settings.domains, datetime.now(UTC).date()
    try:
        if given_partners is None:
            partners = load_partners(settings.partners, own_domains=own, today=today)
        else:
            partners = check_partners(given_partners, own_domains=own, today=today)
    except ProblemsError as error:
        problems += error.problems
    if settings.internal.recipients == "list":
        folder = Path(settings.internal.recipients_folder)
        try:
            known = load_recipients(folder, settings.domains)
            settings = replace(settings, recipient_list=known)
        except ProblemsError as error:
            problems += error.problems
    routes = dict(settings.routes)
    for found in lint_nexthops(partners, routes, settings.domains, settings.relayhost or ""):
        file, line = locate(found.key)
        problems.append(replace(found, file=file, line=line))
    if problems:
        raise ProblemsError(problems)
    return Inputs(settings, partners)


def raw_values(config: Mapping[str, str]) -> dict[str, object]:
    """Return the values of `tlsgate:*` by their keys; Pulumi gives structured ones as JSON.

    An empty value counts as not set: optional keys have an empty default in Pulumi.yaml, because
    Pulumi requires a value for each key without a default.
    """
    values = {
        key.removeprefix(NAMESPACE): _value(text)
        for key, text in config.items()
        if key.startswith(NAMESPACE)
    }
    return {key: value for key, value in values.items() if value not in ("", [], {})}


def _value(text: str) -> object:
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except ValueError:
        return text  # `[mail.example]:25` only looks like a list


def locator(file: Path) -> Locate:
    """Return a function that returns the file and line of a config key.

    If the key is not in the file, the line is that of the nearest section above it, or 0.
    """
    try:
        config = YAML(typ="rt").load(file.read_text("utf-8"))["config"]
    except (OSError, UnicodeDecodeError, YAMLError, KeyError, TypeError):
        return lambda _key: (str(file) if file.exists() else "", 0)

    def locate(key: str) -> tuple[str, int]:
        node, line, rest = config, 0, f".{key}"
        while rest and (found := _step(node, rest)) is not None:
            node, line, rest = found
        return str(file), line

    return locate


def _step(node: Any, path: str) -> tuple[Any, int, str] | None:
    """Follow the first step of a path; return the node there, its line, and the rest of the path.

    A step is `.key`, `[key]` or `[number]`. A key that is a domain contains dots, so the longest
    key that the path starts with is used.
    """
    if isinstance(node, CommentedSeq):
        match = re.match(r"\[(\d+)\]", path)
        if match is None or int(match[1]) >= len(node):
            return None
        place = int(match[1])
        return node[place], node.lc.data[place][0] + 1, path[match.end() :]
    if not isinstance(node, CommentedMap):
        return None
    for key in sorted(node, key=lambda key: len(str(key)), reverse=True):
        for step in (f".{key}", f"[{key}]"):
            rest = path.removeprefix(step)
            if rest != path and rest[:1] in ("", ".", "["):
                return node[key], node.lc.data[key][0] + 1, rest
    return None
