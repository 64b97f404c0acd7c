"""A program's arguments and a stack's config have the same keys and defaults."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tlsgate_pulumi import (
    DnsArgs,
    GatewayHostArgs,
    InternalArgs,
    MailGatewayArgs,
    MtaStsArgs,
    arguments,
)
from tlsgate_pulumi.arguments_reader import NOT_CONFIG, RawConfig
from tlsgate_pulumi.config_reader import ConfigReader
from tlsgate_pulumi.settings_reader import read_settings

LEAST: dict[str, Any] = {
    "domains": ["corp.example"],
    "gateways": [{"name": "mx1.corp.example", "addresses": ["192.0.2.3"]}],
    "internal": {"server": "mail.corp.example"},
    "mtaSts": {"addresses": ["192.0.2.4"]},
    "dns": {
        "server": "192.0.2.53",
        "zones": ["corp.example"],
        "tsigKeyFile": "wide.key",
        "agentTsigKeyFile": "narrow.key",
    },
}
ARGS = MailGatewayArgs(
    domains=("corp.example",),
    gateways=[GatewayHostArgs(name="mx1.corp.example", addresses=["192.0.2.3"])],
    internal=InternalArgs(server="mail.corp.example"),
    mta_sts=MtaStsArgs(addresses=["192.0.2.4"]),
    dns=DnsArgs(
        server="192.0.2.53",
        zones=["corp.example"],
        tsig_key_file="wide.key",
        agent_tsig_key_file="narrow.key",
    ),
    partners="partners",
)


def nowhere(_key: str) -> tuple[str, int]:
    return "", 0


def test_the_defaults_are_those_of_a_stacks_config() -> None:
    assert read_settings(RawConfig().value_of(ARGS, ""), nowhere) == read_settings(LEAST, nowhere)


def test_every_key_of_the_config_is_an_argument_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # `routes` and `stubZones` take any key; the partners' folder is an argument of its own kind.
    raw = {**RawConfig().value_of(ARGS, ""), "partners": "partners"}
    raw["acme"] |= {
        "eab": {"keyId": "k", "hmacKeyFile": "f"},
        "fallback": {"directory": "https://ca.example/dir", "eab": {"keyId": "k"}},
        "limits": {kind: {} for kind in ("orders", "duplicates")},
    }
    taken: set[str] = set()
    finish = ConfigReader.finish

    def noting(reader: ConfigReader) -> None:
        taken.update(reader.path.partition(":")[2] + key for key in reader.taken)
        finish(reader)

    monkeypatch.setattr(ConfigReader, "finish", noting)
    read_settings(raw, nowhere)
    for path in ("acme.limits.orders.", "acme.limits.duplicates."):
        taken -= {f"{path}count", f"{path}seconds"}
    assert {re.sub(r"\[\d+\]", "", key) for key in taken} == {
        key for key in keys(MailGatewayArgs, "") if key.count("limits") == 0 or "limits." in key
    } | {"partners", "acme.limits"}


def keys(kind: Any, path: str) -> set[str]:
    """All config keys for the fields of a class and of the classes of its fields."""
    classes = {name: value for name, value in vars(arguments).items() if is_dataclass(value)}
    found = set()
    for part in fields(kind):
        key = path + re.sub(r"_(.)", lambda match: match[1].upper(), part.name)
        inner = [classes[name] for name in re.findall(r"\w+Args", str(part.type))]
        if key in NOT_CONFIG | {"buildFolder", "images.ids"}:
            continue
        found.add(key)
        for one in inner:
            if one is not arguments.LimitArgs:
                found |= keys(one, f"{key}.")
    return found


def test_the_projects_schema_names_the_same_keys() -> None:
    schema = YAML(typ="safe").load(Path("Pulumi.yaml"))["config"]
    named = {key.partition(":")[2] for key in schema}
    top = {key for key in keys(MailGatewayArgs, "") if "." not in key}
    assert named == top | {"partners"}
