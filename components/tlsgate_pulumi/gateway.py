"""MailGateway: composes the other components.

The order of a first `up`: images, network, volumes → the resolver, the policy host (port 80) and
the addresses in DNS → the certificates → the partner list → the policy helper and the milter for
notices → the gateway → the MX records, and the policy's id once the policy is served. So DNS
never points senders to something that does not work yet. `destroy` uses the reverse order.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_docker as docker

from tlsgate.dns.records import Record
from tlsgate.partners.format import digest
from tlsgate.render.unbound import ResolverSettings, render_unbound
from tlsgate_pulumi.arguments import MailGatewayArgs
from tlsgate_pulumi.arguments_reader import read_args
from tlsgate_pulumi.build_context import BuildContext, prepare
from tlsgate_pulumi.certificates import Certificates, CertificatesArgs
from tlsgate_pulumi.dns import DnsRecords, DnsRecordsArgs
from tlsgate_pulumi.docker_engine import engine_of, with_engine
from tlsgate_pulumi.engine import DeploymentError, read_host_file
from tlsgate_pulumi.inputs import IMAGES, Inputs
from tlsgate_pulumi.mta_sts import MtaStsPolicy, MtaStsPolicyArgs, PolicyHost, PolicyHostArgs
from tlsgate_pulumi.neighbours import Claim, claim
from tlsgate_pulumi.outputs import IssuedCertificate, PartnerSummary, apply_to
from tlsgate_pulumi.partner_list import PartnerList, PartnerListArgs
from tlsgate_pulumi.records import published_records
from tlsgate_pulumi.stack import ContainerArgs, Stack, child_options, container, former_names, image
from tlsgate_pulumi.volume_files import VolumeFiles, VolumeFilesArgs

KIND = "tlsgate:index:MailGateway"
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
"""The privileges of root that Postfix needs: without any one of them it fails."""
ADDRESS_TYPES = frozenset({"A", "AAAA", "CAA"})


def _build_context(inputs: Inputs) -> BuildContext | None:
    """Return the folder that images are built from; None if all were built elsewhere."""
    if inputs.image_ids.keys() >= set(IMAGES):
        return None
    try:
        return prepare(inputs.build_folder, inputs.settings.images.build_ca_file)
    except DeploymentError as error:
        raise pulumi.RunError(str(error)) from None


class MailGateway(pulumi.ComponentResource):
    """A mandatory-TLS mail gateway: its containers, keys, certificates, partner list and records.

    `args`: its arguments, or the result of `read_inputs` for the stack's config. `opts`: resources
    in `depends_on` are created before any part of the gateway; a provider for `docker` chooses the
    engine. Raises pulumi.RunError with all problems of the arguments, before it declares anything.
    """

    hosts: pulumi.Output[list[str]]
    """The names of the MX hosts."""
    smtp: pulumi.Output[str | None]
    """`host:port` where the Docker host publishes port 25; None if it does not."""
    policy_urls: pulumi.Output[list[str]]
    """Where senders find the MTA-STS policy (RFC 8461), one URL a domain."""
    policy_id: pulumi.Output[str]
    """The policy's id, as it is in DNS."""
    records: pulumi.Output[list[str]]
    """All DNS records of the gateway as zone lines, sorted."""
    certificates: pulumi.Output[list[IssuedCertificate]]
    """The certificates in service, at the last `up` that issued certificates."""
    acme_account: pulumi.Output[str | None]
    """The URI of the account at the CA (RFC 8555)."""
    partners: pulumi.Output[PartnerSummary]
    """How many partners the list has, and its digest."""
    generation: pulumi.Output[str]
    """The id of the configuration that Postfix runs."""

    def __init__(
        self, name: str, args: MailGatewayArgs | Inputs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        inputs = args if isinstance(args, Inputs) else read_args(name, args)
        context = _build_context(inputs)
        former = former_names(KIND, name, opts)
        opts = with_engine(name, inputs.engine, opts, former)
        super().__init__(KIND, name, {}, opts)
        self._settings = settings = inputs.settings
        taken = Claim(
            name,
            opts.parent.pulumi_resource_type if opts and opts.parent else "",
            inputs.stack,
            settings,
            is_network_joined=bool(inputs.network or settings.network.existing),
        )
        engine = apply_to(engine_of(self), lambda found: claim(taken, found))
        self._stack = stack = Stack(inputs.stack, name, engine, former)
        self._own = own = child_options(self, opts)
        images = dict(inputs.image_ids)
        if context is not None:
            images |= {
                role: image(stack, role, settings.images.base, context, own)
                for role in IMAGES
                if role not in images
            }
        network = self._network() if inputs.network is None else inputs.network
        keep = not settings.delete_data
        mx_keys = stack.volume("mx-keys", own, keep=keep)
        policy_keys = stack.volume("policy-keys", own, keep=keep)
        challenge = stack.volume("challenge", own)

        resolver = self._resolver(images["resolver"], network)
        policy_host = PolicyHost(
            stack.resource_name("policy-host"),
            PolicyHostArgs(stack, settings, images["policy-host"], network, policy_keys, challenge),
            stack.options("policy-host", own),
        )
        complete = inputs.complete_settings()
        records = apply_to(complete, published_records)
        types = ADDRESS_TYPES - {"CAA"} if settings.dns.caa_account_uri else ADDRESS_TYPES
        addresses = self._records(
            "addresses", apply_to(records, lambda found: [r for r in found if r.type in types]), []
        )
        certificates = Certificates(
            stack.resource_name("certificates"),
            CertificatesArgs(
                stack, settings, images["agent"], network, mx_keys, policy_keys, challenge
            ),
            stack.options("certificates", own, after=[resolver, policy_host, addresses]),
        )
        config = stack.volume("config", own)
        partner_list = PartnerList(
            stack.resource_name("partners"),
            PartnerListArgs(
                stack,
                complete,
                settings.accept_weakening,
                inputs.partners,
                config,
                images["postfix"],
            ),
            # A renamed gateway must have its new certificate before its new configuration.
            stack.options("partners", own, after=[certificates]),
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
            "mail-records",
            apply_to(records, lambda found: [r for r in found if r.type not in ADDRESS_TYPES]),
            [gateway],
        )
        policy = MtaStsPolicy(
            stack.resource_name("mta-sts"),
            MtaStsPolicyArgs(stack, settings, images["agent"], network, policy_host.generation),
            stack.options("mta-sts", own, after=[certificates, mail]),
        )
        self.hosts = pulumi.Output.from_input([host.name for host in settings.gateways])
        self.smtp = pulumi.Output.from_input(
            str(settings.ports.smtp) if settings.ports.smtp else None
        )
        self.policy_urls = pulumi.Output.from_input(policy.urls)
        self.policy_id = policy.policy_id
        self.records = pulumi.Output.all(
            addresses.records, certificates.records, mail.records, policy.records
        ).apply(lambda parts: sorted(line for part in parts for line in part or ()))
        self.certificates = certificates.issued
        self.acme_account = certificates.account
        self.partners = pulumi.Output.from_input(
            PartnerSummary(count=len(inputs.partners), digest=digest(inputs.partners))
        )
        self.generation = partner_list.generation
        self.register_outputs(
            {
                "hosts": self.hosts,
                "smtp": self.smtp,
                "policyUrls": self.policy_urls,
                "policyId": self.policy_id,
                "records": self.records,
                "certificates": self.certificates,
                "acmeAccount": self.acme_account,
                "partners": self.partners,
                "generation": self.generation,
            }
        )

    def _network(self) -> pulumi.Input[str]:
        settings = self._settings.network
        if settings.existing:
            return settings.existing
        made = docker.Network(
            self._stack.resource_name("network"),
            name=self._stack.prefix,
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=settings.subnet)],
            labels=[
                docker.NetworkLabelArgs(label=key, value=value)
                for key, value in self._stack.labels.items()
            ],
            opts=self._stack.options("network", self._own).merge(
                pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )
        return made.name

    def _records(
        self,
        role: str,
        records: Sequence[Record] | pulumi.Output[Sequence[Record]],
        after: Sequence[pulumi.Resource],
    ) -> DnsRecords:
        return DnsRecords(
            self._stack.resource_name(role),
            DnsRecordsArgs.from_settings(self._settings.dns, records),
            self._stack.options(role, self._own, after=after),
        )

    def _resolver(
        self, image_id: pulumi.Input[str], network: pulumi.Input[str]
    ) -> docker.Container:
        """DANE depends on this resolver: it validates, and answers only the stack's containers."""
        settings = self._settings
        config = self._stack.volume("resolver-config", self._own)
        anchors = settings.resolver.trust_anchor_file
        files = VolumeFiles(
            self._stack.resource_name("resolver-files"),
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
                engine=self._stack.engine,
            ),
            self._stack.options("resolver-files", self._own),
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
            self._own,
        )

    def _policy_helper(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        config: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        settings = self._settings
        state = self._stack.volume("policy-state", self._own, keep=not settings.delete_data)
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
            self._own,
            after,
        )

    def _notices(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        config: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        """The milter for bounces and warnings; without it, none are sent (D20)."""
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
            self._own,
            after,
        )

    def _gateway(
        self,
        image_id: pulumi.Input[str],
        network: pulumi.Input[str],
        volumes: dict[str, pulumi.Input[str]],
        after: Sequence[pulumi.Resource],
    ) -> docker.Container:
        stack, settings = self._stack, self._settings
        spool = stack.volume("spool", self._own, keep=not settings.delete_data)
        data = stack.volume("data", self._own)
        published = {25: settings.ports.smtp, 2525: settings.ports.internal}
        return container(
            stack,
            "gateway",
            ContainerArgs(
                image=image_id,
                # All processes of master.cf together need 2.5 GB. With less memory, outsiders who
                # fill port 25 would get other processes killed.
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
            self._own,
            after,
        )
