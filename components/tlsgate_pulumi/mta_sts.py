"""MTA-STS (RFC 8461): the policy host, and the policy's id once the policy is served.

`PolicyHost` runs nginx: port 80 for ACME's http-01 from the start, HTTPS as soon as there are
certificates. Then `MtaStsPolicy` fetches the policy of every domain, as a sender would. Only after
that does it publish the policy's id (the order of section 3.3). The previous policy stays correct
while old ids are cached: it names the same gateways.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi

from tlsgate.render.dns_records import mta_sts_record
from tlsgate.render.mta_sts import PolicySettings, policy_id, policy_text
from tlsgate.render.policy_host import PolicyHostSettings, render_policy_host
from tlsgate_pulumi.certificates import AGENT_USER
from tlsgate_pulumi.delivery import Delivery, DeliveryArgs
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.engine import read_host_file
from tlsgate_pulumi.job import Job, JobArgs
from tlsgate_pulumi.settings import Settings
from tlsgate_pulumi.stack import ContainerArgs, Stack, child_options, container


def policy_settings(settings: Settings) -> PolicySettings:
    """Return the policy for senders; its MX names are those of the gateways."""
    mx = tuple(sorted(host.name for host in settings.gateways))
    return PolicySettings(settings.mta_sts.mode, settings.mta_sts.max_age, mx)


@dataclass(frozen=True)
class PolicyHostArgs:
    """Where the policy host runs, and the volumes that it shares with the agent."""

    stack: Stack
    settings: Settings
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    keys_volume: pulumi.Input[str]
    challenge_volume: pulumi.Input[str]


class PolicyHost(pulumi.ComponentResource):
    """Outputs: `generation`, the id of the configuration in force."""

    generation: pulumi.Output[str]

    def __init__(
        self, name: str, args: PolicyHostArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("tlsgate:index:PolicyHost", name, {}, opts)
        own = child_options(self, opts)
        stack, settings = args.stack, args.settings
        config = stack.volume("policy-host-config", own)
        files = render_policy_host(PolicyHostSettings(settings.domains, policy_settings(settings)))
        delivery = Delivery(
            stack.resource_name("policy-host-config"),
            DeliveryArgs(
                kind="nginx",
                volume=config,
                image=args.image,
                server=stack.docker_name("policy-host"),
                user=AGENT_USER,
                files=files,
                labels=stack.labels,
                engine=stack.engine,
            ),
            stack.options("policy-host-config", own),
        )
        published = {80: settings.ports.http, 443: settings.ports.https}
        container(
            stack,
            "policy-host",
            ContainerArgs(
                image=args.image,
                memory=128,
                health=["python3", "-m", "tlsgate.generation", "health", "--kind", "nginx"],
                network=args.network,
                address=settings.network.address("policy-host"),
                volumes={
                    "/config": config,
                    "/keys": args.keys_volume,
                    "/challenge": args.challenge_volume,
                },
                tmpfs={"/run/tlsgate": "uid=10001,mode=0700"},
                low_ports=True,
                ports={p: (at.host, at.port) for p, at in published.items() if at is not None},
            ),
            own,
            after=[delivery],
        )
        self.generation = delivery.generation
        self.register_outputs({"generation": self.generation})


@dataclass(frozen=True)
class MtaStsPolicyArgs:
    """`image`: the agent's, whose check fetches the policy. `generation`: of the policy host."""

    stack: Stack
    settings: Settings
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    generation: pulumi.Input[str]


class MtaStsPolicy(pulumi.ComponentResource):
    """Outputs: `policy_id`; `urls`, one per domain; `records`, the zone lines of the ids."""

    policy_id: pulumi.Output[str]
    urls: list[str]
    records: pulumi.Output[list[str]]

    def __init__(
        self, name: str, args: MtaStsPolicyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("tlsgate:index:MtaStsPolicy", name, {}, opts)
        own = child_options(self, opts)
        stack, settings = args.stack, args.settings
        text = policy_text(policy_settings(settings))
        wanted = {"id": policy_id(text), "policy": text, "domains": list(settings.domains)}
        files = {"policy.json": json.dumps(wanted)}
        if settings.extra_ca_file:
            files["extra-ca.pem"] = read_host_file(settings.extra_ca_file).decode()
        served = Job(
            stack.resource_name("policy-served"),
            JobArgs(
                name=stack.docker_name("policy-served"),
                image=args.image,
                command=[
                    "python3",
                    "-m",
                    "tlsgate.mta_sts.host_check",
                    "--address",
                    settings.network.address("policy-host"),
                    "--from",
                    "/incoming",
                ],
                network=args.network,
                user=AGENT_USER,
                labels=stack.labels,
                files=files,
                triggers={"generation": args.generation},
                engine=stack.engine,
            ),
            stack.options("policy-served", own),
        )
        ids = DnsRecords(
            stack.resource_name("policy-ids"),
            DnsRecordsArgs.from_settings(
                settings.dns,
                [mta_sts_record(d, policy_id(text), settings.dns.ttl) for d in settings.domains],
            ),
            stack.options("policy-ids", own, after=[served]),
        )
        # Without a result, `up --target` left the check out: the policy has this id all the same.
        self.policy_id = served.result.apply(
            lambda result: str(result["id"]) if result else policy_id(text)
        )
        self.urls = [f"https://mta-sts.{d}/.well-known/mta-sts.txt" for d in settings.domains]
        self.records = ids.records
        self.register_outputs({"policy_id": self.policy_id, "urls": self.urls})
