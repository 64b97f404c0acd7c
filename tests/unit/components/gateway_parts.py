"""The gateway of a config, as the engine would be asked to make it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.components.program import (
    Program,
    absolute,
    run,
)
from tests.unit.components.stack_config import as_pulumi_gives
from tlsgate_pulumi.gateway import MailGateway, MailGatewayArgs
from tlsgate_pulumi.inputs import Inputs, parse_inputs, raw_values
from tlsgate_pulumi.stack import Stack

MANUAL = (
    ("  tlsgate:dns:\n", "  tlsgate:dns:\n    sink: manual\n"),
    (
        "    caFile: acme-ca.pem\n    eab: {keyId: kid-1, hmacKeyFile: eab.key}\n",
        "    challenge: http-01\n    profile: shortlived\n",
    ),
    (
        "    server: 127.0.0.1:2053\n    agentServer: 172.31.26.10:53\n    zones: [corp.example, "
        "brand.example]\n    tsigKeyFile: pulumi.key\n    agentTsigKeyFile: agent.key\n",
        "",
    ),
    ("  tlsgate:extraCaFile: extra-ca.pem\n", ""),
)
"""A stack whose DNS is changed by ticket, with Let's Encrypt as it is."""


def inputs_of(folder: Path, *changes: tuple[str, str]) -> Inputs:
    raw = raw_values(as_pulumi_gives(absolute(folder, *changes)))
    return parse_inputs({**raw, "partners": str(folder / "partners")}, lambda _: ("", 0))


def declared(inputs: Inputs) -> Program:
    args = MailGatewayArgs(Stack("test"), inputs.settings, inputs.partners)
    return run(lambda: MailGateway("gateway", args).outputs)
