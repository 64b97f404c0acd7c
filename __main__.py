"""The Pulumi program: read everything, build the gateway, export what it is."""

from __future__ import annotations

import pulumi

from tlsgate_pulumi import MailGateway, read_inputs

gateway = MailGateway("gateway", read_inputs())

pulumi.export("hosts", gateway.hosts)
pulumi.export("smtp", gateway.smtp)
pulumi.export("policyUrls", gateway.policy_urls)
pulumi.export("policyId", gateway.policy_id)
pulumi.export("records", gateway.records)
pulumi.export("certificates", gateway.certificates)
pulumi.export("acmeAccount", gateway.acme_account)
pulumi.export("partners", gateway.partners)
pulumi.export("generation", gateway.generation)
