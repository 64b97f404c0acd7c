"""MailGateway: composes the rest.

The order of a first `up`: images, network, volumes → the resolver, the policy host (port 80) and
the addresses in DNS → the certificates → the partner list → the policy helper and the milter for
notices → the gateway → the MX records, and the policy's id once the policy is served. So nothing in
DNS ever points senders to what does not work yet; `destroy` goes the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker as docker

from tlsgate.dns.records import Record
from tlsgate.partners.format import digest
from tlsgate.partners.model import Partner
from tlsgate.render.unbound import ResolverSettings, render_unbound
from tlsgate_pulumi.certificates import Certificates, CertificatesArgs
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.engine import read_host_file
from tlsgate_pulumi.mta_sts import MtaStsPolicy, MtaStsPolicyArgs, PolicyHost, PolicyHostArgs
from tlsgate_pulumi.partner_list import PartnerList, PartnerListArgs
from tlsgate_pulumi.records import published_records
from tlsgate_pulumi.settings import Settings
from tlsgate_pulumi.stack import ContainerArgs, Stack, container, image
from tlsgate_pulumi.volume_files import VolumeFiles, VolumeFilesArgs

IMAGES = ("postfix", "policy", "policy-host", "resolver", "agent", "notices")
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
"""What Postfix needs of root; tried without each of them."""
ADDRESS_TYPES = frozenset({"A", "AAAA", "CAA"})


@dataclass(frozen=True)
class MailGatewayArgs:
    """The whole of a stack's config and its partner list."""

    stack: Stack
    settings: Settings
    partners: Sequence[Partner]


class MailGateway(pulumi.ComponentResource):
    """Outputs: `outputs`, what the stack exports, by name."""

    outputs: dict[str, Any]

    def __init__(
        self, name: str, args: MailGatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("tlsgate:index:MailGateway", name, {}, opts)
        self._stack, self._settings = args.stack, args.settings
        stack, settings = args.stack, args.settings
        own = pulumi.ResourceOptions(parent=self)
        images = {role: image(stack, role, settings.images, own) for role in IMAGES}
        network = self._network()
        keep = not settings.delete_data
        mx_keys = stack.volume("mx-keys", self, keep=keep)
        policy_keys = stack.volume("policy-keys", self, keep=keep)
        challenge = stack.volume("challenge", self)

        resolver = self._resolver(images["resolver"], network)
        policy_host = PolicyHost(
            "policy-host",
            PolicyHostArgs(stack, settings, images["policy-host"], network, policy_keys, challenge),
            own,
        )
        records = published_records(settings)
        types = ADDRESS_TYPES - {"CAA"} if settings.dns.caa_account_uri else ADDRESS_TYPES
        addresses = self._records("addresses", [r for r in records if r.type in types], [])
        certificates = Certificates(
            "certificates",
            CertificatesArgs(
                stack, settings, images["agent"], network, mx_keys, policy_keys, challenge
            ),
            own.merge(pulumi.ResourceOptions(depends_on=[resolver, policy_host, addresses])),
        )
        config = stack.volume("config", self)
        partner_list = PartnerList(
            "partners",
            PartnerListArgs(stack, settings, args.partners, config, images["postfix"]),
            # A gateway that is renamed takes its configuration up only with the new certificate.
            own.merge(pulumi.ResourceOptions(depends_on=[certificates])),
        )
        helper = self._policy_helper(images["policy"], network, config, [partner_list, resolver])
        notices = self._notices(images["notices"], network, config, [partner_list])
        gateway = self._gateway(
            images["postfix"],
            network,
            {"/config": config, "/keys": mx_keys},
            [certificates, partner_list, helper, notices],
        )
        mail = self._records(
            "mail-records", [r for r in records if r.type not in ADDRESS_TYPES], [gateway]
        )
        policy = MtaStsPolicy(
            "mta-sts",
            MtaStsPolicyArgs(stack, settings, images["agent"], network, policy_host.generation),
            own.merge(pulumi.ResourceOptions(depends_on=[certificates, mail])),
        )
        self.outputs = {
            "hosts": [host.name for host in settings.gateways],
            "smtp": str(settings.ports.smtp) if settings.ports.smtp else None,
            "policyUrls": policy.urls,
            "policyId": policy.policy_id,
            "records": pulumi.Output.all(
                addresses.records, certificates.records, mail.records, policy.records
            ).apply(lambda parts: sorted(line for part in parts for line in part)),
            "certificates": certificates.issued,
            "acmeAccount": certificates.account,
            "partners": {"count": len(args.partners), "digest": digest(args.partners)},
            "generation": partner_list.generation,
        }
        self.register_outputs(self.outputs)

    def _network(self) -> pulumi.Input[str]:
        settings = self._settings.network
        if settings.existing:
            return settings.existing
        made = docker.Network(
            "network",
            name=self._stack.prefix,
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=settings.subnet)],
            labels=[
                docker.NetworkLabelArgs(label=key, value=value)
                for key, value in self._stack.labels.items()
            ],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        return made.name

    def _records(
        self, name: str, records: Sequence[Record], after: Sequence[pulumi.Resource]
    ) -> DnsRecords:
        return DnsRecords(
            name,
            DnsRecordsArgs.of(self._settings.dns, records),
            pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _resolver(
        self, image_id: pulumi.Input[str], network: pulumi.Input[str]
    ) -> docker.Container:
        """DANE stands on this resolver: it validates, and only the stack's containers ask it."""
        settings = self._settings
        config = self._stack.volume("resolver-config", self)
        anchors = settings.resolver.trust_anchor_file
        files = VolumeFiles(
            "resolver-files",
            VolumeFilesArgs(
                volume=config,
                image=image_id,
                labels=self._stack.labels,
                files={
                    "unbound.conf": render_unbound(
                        ResolverSettings(
                            stub_zones=dict(settings.resolver.stub_zones),
                            trust_anchors=read_host_file(anchors).decode() if anchors else "",
                            allow=(settings.network.subnet,),
                        )
                    )
                },
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return container(
            self._stack,
            "resolver",
            ContainerArgs(
                image=image_id,
                memory=256,
                health=["resolver-health"],
                network=network,
                address=settings.network.address("resolver"),
                volumes={"/config": config},
                low_ports=True,
                config_digest=files.digest,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _policy_helper(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        config: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        settings = self._settings
        state = self._stack.volume("policy-state", self, keep=not settings.delete_data)
        return container(
            self._stack,
            "policy",
            ContainerArgs(
                image=image_id,
                memory=512,
                health=["python3", "-m", "tlsgate.policy", "health"],
                network=network,
                address=settings.network.address("policy"),
                dns=[settings.network.address("resolver")],
                volumes={"/config": config, "/state": state},
                writable=frozenset({"/state"}),
                environment={"TLSGATE_RESOLVER": settings.network.address("resolver")},
            ),
            pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _notices(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        config: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        """The milter: without it no notice is made (D20)."""
        return container(
            self._stack,
            "notices",
            ContainerArgs(
                image=image_id,
                memory=128,
                health=["python3", "-m", "tlsgate.notices", "health"],
                network=network,
                address=self._settings.network.address("notices"),
                volumes={"/config": config},
            ),
            pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )

    def _gateway(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        volumes: dict[str, pulumi.Input[str]],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        stack, settings = self._stack, self._settings
        spool = stack.volume("spool", self, keep=not settings.delete_data)
        data = stack.volume("data", self)
        published = {25: settings.ports.smtp, 2525: settings.ports.internal}
        return container(
            stack,
            "gateway",
            ContainerArgs(
                image=image_id,
                # All of master.cf's processes at once take 2.5 GB: with less, outsiders who fill
                # port 25 get others killed.
                memory=3072,
                health=["python3", "-m", "tlsgate.generation", "health", "--kind", "postfix"],
                network=network,
                address=settings.network.address("gateway"),
                dns=[settings.network.address("resolver")],
                volumes={**volumes, "/var/spool/postfix": spool, "/var/lib/postfix": data},
                writable=frozenset({"/var/spool/postfix", "/var/lib/postfix"}),
                tmpfs={"/run": ""},
                environment={"TLSGATE_DNSSEC_PROBE": settings.resolver.probe},
                capabilities=CAPABILITIES,
                ports={p: (at.host, at.port) for p, at in published.items() if at is not None},
                stop_seconds=30,
            ),
            pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
