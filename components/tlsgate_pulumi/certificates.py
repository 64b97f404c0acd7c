"""Certificates: key volumes, the job that issues the first ones, the agent that renews (D1, D2).

Keys are created in volumes and stay there. `up` decides which certificates there are, and issues
the first ones; after that, the agent's container manages them. Nothing here knows an expiry date or
a key, so neither a renewal nor a roll-over is drift. `refresh` shows a certificate whose names or
issuer differ from the config.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi

from tlsgate.acme.config.agent_json import (
    Config,
    Dns01,
    DnsUpdates,
    HttpTokens,
    Probe,
    WantedCertificate,
)
from tlsgate.acme.config.ca import Eab, Fallback
from tlsgate.acme.config.limits import Limit, Limits
from tlsgate.acme.config.typed_json import to_json
from tlsgate.dns.records import Record
from tlsgate.render.policy_host import group_certificates
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.engine import read_host_file
from tlsgate_pulumi.job import Job, JobArgs
from tlsgate_pulumi.outputs import IssuedCertificate
from tlsgate_pulumi.records import published_records
from tlsgate_pulumi.settings import AcmeSettings, FallbackSettings, Settings
from tlsgate_pulumi.stack import ContainerArgs, Stack, child_options, container
from tlsgate_pulumi.volume_files import VolumeFiles, VolumeFilesArgs

COMMAND = ["python3", "-m", "tlsgate.acme"]
CONFIG = "/config"
MX_KEYS = "/keys/mx"
POLICY_KEYS = "/keys/policy"
ISSUE_SECONDS = 600
ACCOUNT_SECONDS = 120
AGENT_USER = "10001:10001"


@dataclass(frozen=True)
class CertificatesArgs:
    """Where the agent runs.

    `challenge_volume`: the policy host serves the answers of http-01 from it.
    """

    stack: Stack
    settings: Settings
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    mx_volume: pulumi.Input[str]
    policy_volume: pulumi.Input[str]
    challenge_volume: pulumi.Input[str]


class Certificates(pulumi.ComponentResource):
    """Outputs: `issued`, the certificates; `account`, the URI of the ACME account; `records`, the
    zone lines of the CAA records that name the account.
    """

    issued: pulumi.Output[list[IssuedCertificate]]
    account: pulumi.Output[str | None]
    records: pulumi.Output[list[str]]
    job: Job

    def __init__(
        self, name: str, args: CertificatesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("tlsgate:index:Certificates", name, {}, opts)
        own = child_options(self, opts)
        stack, settings = args.stack, args.settings
        config = stack.volume("agent-config", own)
        state = stack.volume("acme", own, keep=not settings.delete_data)
        files = VolumeFiles(
            stack.resource_name("agent-files"),
            VolumeFilesArgs(
                volume=config,
                image=args.image,
                labels=stack.labels,
                files={"agent.json": to_json(agent_config(settings)), **trust_files(settings)},
                secrets=secret_files(settings),
                engine=stack.engine,
            ),
            stack.options("agent-files", own),
        )
        volumes: dict[str, pulumi.Input[str]] = {
            CONFIG: config,
            "/acme": state,
            MX_KEYS: args.mx_volume,
            POLICY_KEYS: args.policy_volume,
            "/challenge": args.challenge_volume,
        }
        writable = frozenset(volumes) - {CONFIG}
        resolver = settings.network.address("resolver")
        triggers = {"config": files.digest}
        common = JobArgs(
            name="",
            image=args.image,
            command=[],
            volumes=volumes,
            writable=writable,
            network=args.network,
            dns=[resolver],
            user=AGENT_USER,
            labels=stack.labels,
            triggers=triggers,
            engine=stack.engine,
        )
        self.records = pulumi.Output.from_input([])
        after: list[pulumi.Resource] = []
        if settings.dns.caa_account_uri:
            # First the account, then the records that name it, then the orders. Otherwise the
            # records of an account that was replaced would forbid the new one to order.
            account = Job(
                stack.resource_name("account"),
                replace(
                    common,
                    name=stack.docker_name("account"),
                    command=[*COMMAND, "account"],
                    read_command=[*COMMAND, "accounts"],
                    timeout=ACCOUNT_SECONDS,
                ),
                stack.options("account", own),
            )
            bound = account.result.apply(
                lambda result: caa_records(settings, result["accounts"]) if result else []
            )
            caa = DnsRecords(
                stack.resource_name("caa"),
                DnsRecordsArgs.from_settings(settings.dns, bound),
                stack.options("caa", own),
            )
            self.records = caa.records
            after = [caa]
        self.job = Job(
            stack.resource_name("issue"),
            replace(
                common,
                name=stack.docker_name("issue"),
                command=[*COMMAND, "issue"],
                read_command=[*COMMAND, "show"],
                delete_command=[*COMMAND, "withdraw"],
                timeout=ISSUE_SECONDS,
            ),
            stack.options("issue", own, after=after),
        )
        container(
            stack,
            "agent",
            ContainerArgs(
                image=args.image,
                memory=256,
                health=["agent-health"],
                network=args.network,
                address=settings.network.address("agent"),
                dns=[resolver],
                volumes=volumes,
                writable=writable,
            ),
            own,
            after=[self.job],
        )
        self.issued = self.job.result.apply(with_keys)
        self.account = self.job.result.apply(lambda result: result["account"] if result else None)
        self.register_outputs(
            {"issued": self.issued, "account": self.account, "records": self.records}
        )


def caa_records(settings: Settings, accounts: Sequence[str | None]) -> list[Record]:
    """Return the CAA records, which allow these accounts only."""
    return [one for one in published_records(settings, accounts) if one.type == "CAA"]


def with_keys(result: dict[str, Any] | None) -> list[IssuedCertificate]:
    """Return the certificates, each with the hash of its key at the last `up` that issued.

    `result` is None if `up --target` left the job out: nothing was issued.
    """
    if result is None:
        return []
    keys = result.get("keys", {})
    certificates: list[IssuedCertificate] = result["certificates"]
    return [
        {**certificate, "spki_sha256": keys.get(certificate["name"])}
        for certificate in certificates
    ]


def agent_config(settings: Settings) -> Config:
    """Return the content of the agent's agent.json; it has the paths of secrets only."""
    acme, dns = settings.acme, settings.dns
    updates: dict[str, Any] | None = None
    if dns.sink == "rfc2136" and dns.agent_server is not None:
        updates = {
            "server": dns.agent_server.host,
            "port": dns.agent_server.port,
            "zones": tuple(dns.zones),
            "tsig_key_file": Path(CONFIG, "agent.tsig"),
            "ttl": settings.agent.tlsa_ttl or dns.ttl,
        }
    challenge: Dns01 | HttpTokens = HttpTokens(Path("/challenge"))
    if acme.challenge == "dns-01":
        challenge = Dns01(**(updates or {}))
    return Config(
        **_ca(acme, "acme-ca.pem", "eab.key"),
        fallback=(
            Fallback(
                **_ca(acme.fallback, "fallback-ca.pem", "fallback-eab.key"),
                after=acme.fallback.after,
            )
            if acme.fallback
            else None
        ),
        roots_file=Path(CONFIG, "extra-ca.pem") if settings.extra_ca_file else None,
        limits=Limits(**{kind: Limit(count, seconds) for kind, count, seconds in acme.limits}),
        challenge=challenge,
        tlsa=DnsUpdates(**updates) if updates else None,
        rotate_days=settings.agent.rotate_days,
        metrics_port=settings.agent.metrics_port,
        webhook_file=Path(CONFIG, "webhook") if settings.agent.webhook_file else None,
        certificates=(
            *(
                WantedCertificate(
                    name=host.name,
                    volume="mx",
                    names=(host.name,),
                    tlsa=(f"_25._tcp.{host.name}",),
                    probe=Probe(settings.network.address("gateway"), 25, starttls=True),
                )
                for host in settings.gateways
            ),
            *(
                WantedCertificate(
                    name=name,
                    volume="policy",
                    names=names,
                    probe=Probe(settings.network.address("policy-host"), 443),
                )
                for name, names in group_certificates(settings.domains)
            ),
        ),
    )


def _ca(ca: AcmeSettings | FallbackSettings, ca_file: str, eab_file: str) -> dict[str, Any]:
    """Return the agent's settings for a CA; the files are of `trust_files` and `secret_files`."""
    return {
        "directory": ca.directory,
        "contact": tuple(ca.contact),
        "profile": ca.profile,
        "ca_file": Path(CONFIG, ca_file) if ca.ca_file else None,
        "eab": Eab(ca.eab_key_id, Path(CONFIG, eab_file)) if ca.eab_key_id else None,
    }


def trust_files(settings: Settings) -> dict[str, str]:
    """Return the additional root certificates that the agent trusts: file name → PEM."""
    fallback = settings.acme.fallback
    paths = {
        "acme-ca.pem": settings.acme.ca_file,
        "fallback-ca.pem": fallback.ca_file if fallback else None,
        "extra-ca.pem": settings.extra_ca_file,
    }
    return {name: read_host_file(path).decode() for name, path in paths.items() if path}


def secret_files(settings: Settings) -> dict[str, str]:
    """Return the agent's secrets: file name → path on the deploying machine."""
    fallback = settings.acme.fallback
    paths = {
        "agent.tsig": settings.dns.agent_tsig_key_file,
        "eab.key": settings.acme.eab_hmac_key_file,
        "fallback-eab.key": fallback.eab_hmac_key_file if fallback else None,
        "webhook": settings.agent.webhook_file,
    }
    return {name: path for name, path in paths.items() if path}
