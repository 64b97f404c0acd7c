"""Checks MailGatewayArgs; reports all problems at once, each with the name of its argument.

The arguments are converted to the raw values of a stack's config and read in the same way, so there
is only one set of checks. Outputs of other resources are checked when they are known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any, get_type_hints

import pulumi

from tlsgate.problems import Problem, ProblemsError
from tlsgate_pulumi import arguments
from tlsgate_pulumi.arguments import GatewayHostArgs, MailGatewayArgs
from tlsgate_pulumi.inputs import IMAGES, Addresses, Inputs, parse_inputs

NOT_CONFIG = frozenset({"partners", "engine", "stack", "build_folder", "images.ids"})
MAY_BE_OUTPUT = re.compile(r"(gateways\[\d+\]|mta_sts)\.addresses\[\d+\]|network\.existing")
UNKNOWN_ADDRESS = "192.0.2.1"
"""Used in place of an address that is not known yet, while the other arguments are checked."""


def read_args(name: str, args: MailGatewayArgs) -> Inputs:
    """Return the checked inputs of the gateway. Raises pulumi.RunError with all problems.

    `name` is the name of the component.
    """
    problems = _wrong_types(args)
    if problems:  # the arguments cannot be read any further
        raise _run_error(name, problems)
    raw = RawConfig()
    values = raw.value_of(args, "")
    given = args.partners
    partners = None if isinstance(given, str | os.PathLike) else tuple(given)
    if partners is None:
        values["partners"] = os.fspath(given)  # type: ignore[arg-type]
    stack = args.stack or f"{pulumi.get_stack()}-{name}"
    problems = [*raw.problems, *_program_problems(args, stack)]
    try:
        inputs = parse_inputs(values, lambda _: ("", 0), partners)
    except ProblemsError as error:
        problems += error.problems
    if problems:
        raise _run_error(name, problems)
    addresses = Addresses(args.gateways[0].addresses, args.mta_sts.addresses)
    return replace(
        inputs,
        stack=stack,
        engine=args.engine,
        build_folder=args.build_folder,
        image_ids=dict(args.images.ids),
        network=args.network.existing,
        addresses=addresses if addresses.have_outputs() else None,
    )


@dataclass(slots=True)
class RawConfig:
    """Converts arguments to raw values of the config; `problems` says which cannot be."""

    problems: list[Problem] = field(default_factory=list)

    def value_of(self, value: Any, path: str) -> Any:
        """Return the raw value of an argument. `path`: its name, such as dns.ttl; "" for all."""
        if is_dataclass(value) and not isinstance(value, type):
            return self._section(value, path)
        if isinstance(value, pulumi.Output):
            return self._output(path)
        if isinstance(value, Mapping):
            return {key: self.value_of(item, f"{path}.{key}") for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str):
            return [self.value_of(item, f"{path}[{place}]") for place, item in enumerate(value)]
        return str(value) if isinstance(value, PurePath) else value

    def _section(self, value: Any, path: str) -> dict[str, Any]:
        found = {}
        for part in fields(value):
            inner = f"{path}.{part.name}" if path else part.name
            if inner in NOT_CONFIG:
                continue
            raw = self.value_of(getattr(value, part.name), inner)
            if raw not in (None, "", [], {}):
                found[_camel(part.name)] = raw
        return found

    def _output(self, path: str) -> str | None:
        if MAY_BE_OUTPUT.fullmatch(path):
            return UNKNOWN_ADDRESS
        message = "comes from another resource, but must be known when the program runs"
        remedy = "Use a plain value"
        self.problems.append(Problem("", 0, f"tlsgate:{path}", "not-known", message, remedy))
        return None


def _wrong_types(args: MailGatewayArgs) -> list[Problem]:
    """Return a problem for each argument that is not an object of the right class."""
    classes = get_type_hints(MailGatewayArgs)
    found = [
        (part.name, getattr(args, part.name), classes[part.name])
        for part in fields(args)
        if is_dataclass(classes[part.name])
    ]
    hosts = enumerate(args.gateways if isinstance(args.gateways, list | tuple) else ())
    found += [(f"gateways[{place}]", host, GatewayHostArgs) for place, host in hosts]
    return [
        Problem("", 0, key, "wrong-type", f"must be {cls.__name__}(…)", "")
        for key, value, cls in found
        if not isinstance(value, cls)
    ]


def _program_problems(args: MailGatewayArgs, stack: str) -> list[Problem]:
    """Return the problems of arguments that a stack's config does not have."""
    found = []
    if not re.fullmatch(r"[a-z0-9]+([._-][a-z0-9]+)*", stack):
        message = f"{stack!r} cannot be part of an image's name"
        remedy = "Use lower-case letters and digits, separated by single . - or _"
        found.append(Problem("", 0, "stack", "bad-name", message, remedy))
    if args.internal.recipients == "list" and not args.internal.recipients_folder:
        remedy = "Name the folder that contains one file per domain"
        found.append(Problem("", 0, "internal.recipients_folder", "missing", "is missing", remedy))
    for role in args.images.ids.keys() - set(IMAGES):
        remedy = f"Known images: {', '.join(IMAGES)}"
        key = f"images.ids.{role}"
        found.append(Problem("", 0, key, "unknown-key", "is not an image", remedy))
    return found


def _run_error(name: str, problems: list[Problem]) -> pulumi.RunError:
    error = ProblemsError(_as_argument(name, problem) for problem in problems)
    return pulumi.RunError(str(error))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_NAMES = {
    _camel(part.name): part.name
    for cls in vars(arguments).values()
    if isinstance(cls, type) and is_dataclass(cls)
    for part in fields(cls)
    if "_" in part.name
}
_CONFIG_KEY = re.compile(rf"tlsgate:|\b({'|'.join(_NAMES)})\b")


def _as_argument(name: str, problem: Problem) -> Problem:
    """Return a problem with config keys replaced by the names of arguments."""

    def renamed(text: str) -> str:
        return _CONFIG_KEY.sub(lambda found: _NAMES.get(found[0], ""), text)

    return replace(
        problem,
        file=problem.file or f"MailGateway {name}",
        key=renamed(problem.key),
        message=renamed(problem.message),
        remedy=renamed(problem.remedy),
    )
