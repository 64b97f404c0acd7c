"""Checks MailGatewayArgs; reports all problems at once, each with the name of its argument.

The arguments are converted to the raw values of a stack's config and read in the same way, so there
is only one set of checks. Outputs of other resources are checked when they are known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any, get_args, get_origin, get_type_hints

import pulumi

from tlsgate.partners.model import Partner
from tlsgate.problems import Problem, ProblemsError
from tlsgate_pulumi import arguments
from tlsgate_pulumi.arguments import ImagesArgs, MailGatewayArgs
from tlsgate_pulumi.docker_engine import DockerEngine
from tlsgate_pulumi.inputs import IMAGES, Addresses, Inputs, parse_inputs

NOT_CONFIG = frozenset({"partners", "engine", "stack", "build_folder", "images.ids"})
MAY_BE_OUTPUT = re.compile(r"(gateways\[\d+\]|mta_sts)\.addresses\[\d+\]|network\.existing")
_PULUMI = {"Output": pulumi.Output, "T": str}
"""The names in `pulumi.Input`, a type that refers to them as text."""
UNKNOWN_ADDRESS = "192.0.2.1"
"""Used in place of an address that is not known yet, while the other arguments are checked."""


def read_args(name: str, args: MailGatewayArgs) -> Inputs:
    """Return the checked inputs of the gateway. Raises pulumi.RunError with all problems.

    `name` is the name of the component.
    """
    problems = [*_wrong_classes(args, MailGatewayArgs, ""), *_wrong_own_types(args)]
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
        reported = {
            problem.key for problem in raw.problems
        }  # a value that is not known is missing too
        problems += (one for one in error.problems if _in_program(one.key) not in reported)
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
        self.problems.append(Problem("", 0, path, "not-known", message, remedy))
        return None


def _wrong_classes(value: Any, kind: type, path: str) -> Iterator[Problem]:
    """Yield a problem for each argument that must be an object of a class of `arguments`."""
    if not isinstance(value, kind):
        yield _wrong_type(path, f"{kind.__name__}(…)")
        return
    for name, hint in get_type_hints(kind, localns=_PULUMI).items():
        inner, within = getattr(value, name), f"{path}.{name}" if path else name
        for one in (hint, *get_args(hint)):
            if getattr(one, "__module__", "") != arguments.__name__:
                continue
            if get_origin(hint) is Sequence:
                items = inner if isinstance(inner, list | tuple) else ()
                for place, item in enumerate(items):
                    yield from _wrong_classes(item, one, f"{within}[{place}]")
            elif one is hint or inner is not None:
                yield from _wrong_classes(inner, one, within)


def _wrong_own_types(args: MailGatewayArgs) -> Iterator[Problem]:
    """Yield a problem for each argument of `NOT_CONFIG` whose type is wrong."""
    listed = args.partners
    if isinstance(listed, list | tuple):
        for place, item in enumerate(listed):
            if not isinstance(item, Partner):
                yield _wrong_type(f"partners[{place}]", "a Partner, as load_partners returns them")
    elif not isinstance(listed, str | os.PathLike):
        yield _wrong_type("partners", "the path of a folder, or a list from load_partners")
    if not isinstance(args.engine, DockerEngine | str | None):
        yield _wrong_type("engine", "a string or DockerEngine(…)")
    if not isinstance(args.stack, str | None):
        yield _wrong_type("stack", "a string that is known when the program runs")
    if not isinstance(args.build_folder, str):
        yield _wrong_type("build_folder", "a string that is known when the program runs")
    images = args.images
    if not isinstance(images, ImagesArgs):
        return  # reported already
    if not isinstance(images.ids, Mapping):
        yield _wrong_type("images.ids", "a dict of image ids by role")
        return
    for role, image in images.ids.items():
        if not isinstance(image, str | pulumi.Output | Awaitable) or image == "":
            yield _wrong_type(f"images.ids.{role}", "the id of an image")


def _wrong_type(key: str, wanted: str) -> Problem:
    return Problem("", 0, key, "wrong-type", f"must be {wanted}", "")


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
    if args.network.existing == "":
        remedy = "Give the name of a network, or leave it out"
        found.append(Problem("", 0, "network.existing", "empty", "is empty", remedy))
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
_REMEDIES = {"not-a-list": "Use a list", "not-a-mapping": "Use a dict"}
"""By the problem's code, for what a config writes in another way."""
_CONFIG_KEY = re.compile(rf"tlsgate:|\b({'|'.join(_NAMES)})\b")


def _as_argument(name: str, problem: Problem) -> Problem:
    """Return a problem with config keys replaced by the names of arguments."""

    return replace(
        problem,
        file=problem.file or f"MailGateway {name}",
        key=_in_program(problem.key),
        message=_in_program(problem.message),
        remedy=_in_program(_REMEDIES.get(problem.code, problem.remedy)),
    )


def _in_program(text: str) -> str:
    return _CONFIG_KEY.sub(lambda found: _NAMES.get(found[0], ""), text)
