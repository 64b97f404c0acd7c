"""A gateway with all its resources, declared from a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.components.program import (
    Program,
    RecordingMonitor,
    config_in,
    run,
)
from tests.unit.components.stack_config import as_pulumi_gives
from tlsgate_pulumi.gateway import MailGateway
from tlsgate_pulumi.inputs import Inputs, parse_inputs, raw_values

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
"""A stack whose DNS is changed by hand, with Let's Encrypt."""


def inputs_of(folder: Path, *changes: tuple[str, str]) -> Inputs:
    raw = raw_values(as_pulumi_gives(config_in(folder, *changes)))
    return parse_inputs({**raw, "partners": str(folder / "partners")}, lambda _: ("", 0))


def declared(inputs: Inputs, engine: RecordingMonitor | None = None) -> Program:
    of_stack = replace(inputs, stack="test")
    return run(lambda: outputs_of(MailGateway("gateway", of_stack)), engine)


def outputs_of(gateway: MailGateway) -> dict[str, Any]:
    """What `__main__.py` exports of a gateway."""
    return {
        "hosts": gateway.hosts,
        "smtp": gateway.smtp,
        "policyUrls": gateway.policy_urls,
        "policyId": gateway.policy_id,
        "records": gateway.records,
        "certificates": gateway.certificates,
        "acmeAccount": gateway.acme_account,
        "partners": gateway.partners,
        "generation": gateway.generation,
    }
