"""The Pulumi program: read everything, build the gateway, export what it is."""

from __future__ import annotations

import pulumi

from tlsgate_pulumi.gateway import MailGateway, MailGatewayArgs
from tlsgate_pulumi.inputs import read_inputs
from tlsgate_pulumi.stack import Stack

inputs = read_inputs()
gateway = MailGateway(
    "gateway",
    MailGatewayArgs(Stack(pulumi.get_stack()), inputs.settings, inputs.partners),
)
for name, value in gateway.outputs.items():
    pulumi.export(name, value)
