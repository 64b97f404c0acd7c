"""PartnerList: the compiled list, delivered to the gateway as one generation (D3, D4, D7).

The whole list is one resource. Its files are Postfix's configuration, which contains both
directions of every record, and the list itself, which the change guard and the policies read. A
change takes effect without a restart, and open sessions continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from tlsgate.partners.format import LIST_FILE, canonical_json, digest
from tlsgate.partners.model import Partner
from tlsgate.render.postfix import PostfixSettings, render_postfix
from tlsgate_pulumi.delivery import Delivery, DeliveryArgs
from tlsgate_pulumi.engine import read_host_file
from tlsgate_pulumi.outputs import apply_to
from tlsgate_pulumi.settings import Settings
from tlsgate_pulumi.stack import Stack, child_options


@dataclass(frozen=True)
class PartnerListArgs:
    """The list, the rest of the gateway's configuration, and where it is delivered."""

    stack: Stack
    settings: Settings | pulumi.Output[Settings]
    accept_weakening: str
    partners: Sequence[Partner]
    volume: pulumi.Input[str]
    image: pulumi.Input[str]


class PartnerList(pulumi.ComponentResource):
    """Inputs: `count` and `digest` of the list. Outputs: `generation`, the id in force."""

    generation: pulumi.Output[str]

    def __init__(
        self, name: str, args: PartnerListArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {"count": len(args.partners), "digest": digest(args.partners)}
        super().__init__("tlsgate:index:PartnerList", name, props, opts)
        stack = args.stack

        def files(settings: Settings) -> dict[str, str]:
            return {
                **render_postfix(postfix_settings(settings), args.partners),
                LIST_FILE: canonical_json(args.partners),
            }

        delivery = Delivery(
            stack.resource_name("partner-list"),
            DeliveryArgs(
                kind="postfix",
                volume=args.volume,
                image=args.image,
                server=stack.docker_name("gateway"),
                user="0",
                files=apply_to(args.settings, files),
                labels=stack.labels,
                accept_weakening=args.accept_weakening,
                engine=stack.engine,
            ),
            stack.options("partner-list", child_options(self, opts)),
        )
        self.generation = delivery.generation
        self.register_outputs({**props, "generation": self.generation})


def postfix_settings(settings: Settings) -> PostfixSettings:
    """Return the settings of Postfix's files. Raises ValueError for a wrong setting."""
    host, internal, queue = settings.gateways[0], settings.internal, settings.queue
    return PostfixSettings(
        host_name=host.name,
        domains=settings.domains,
        internal_host=internal.server.host,
        internal_port=internal.server.port,
        internal_tls=internal.tls,
        internal_networks=internal.networks,
        internal_tls_required=internal.require_tls,
        message_size=settings.message_size,
        queue_lifetime=queue.lifetime,
        delay_warning=queue.delay_warning,
        retry_shortest=queue.retry_shortest,
        retry_longest=queue.retry_longest,
        milters=settings.milters,
        extra_ca=(
            read_host_file(settings.extra_ca_file).decode() if settings.extra_ca_file else ""
        ),
        routes=settings.routes,
        relayhost=settings.relayhost or "",
        policy_host=settings.network.address("policy"),
        notices_host=settings.network.address("notices"),
        public_addresses=host.addresses,
        recipients=internal.recipients,
        recipient_list=settings.recipient_list,
        internal_senders=internal.senders,
        postmaster=settings.postmaster,
        null_sender=settings.inbound.null_sender,
        own_senders=settings.inbound.own_senders,
    )
