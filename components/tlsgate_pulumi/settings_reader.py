"""Converts a stack's config to `Settings`; reports all problems at once, each with its key.

Pure: `parse_settings` gets the raw values of `tlsgate:*`, which `inputs.py` reads. All settings
that it returns without a problem can be rendered: no later step refuses them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tlsgate.partners.domains import is_within
from tlsgate.problems import Problem, ProblemsError
from tlsgate_pulumi import config_values as values
from tlsgate_pulumi import settings_sections as sections
from tlsgate_pulumi.config_reader import ConfigReader, Locate
from tlsgate_pulumi.settings import (
    GatewayHost,
    Settings,
)


def parse_settings(raw: Mapping[str, object], locate: Locate) -> Settings:
    """Return the settings. Raises ProblemsError with all problems.

    `raw` maps keys without `tlsgate:` to plain values; `locate` returns a key's file and line.
    """
    settings, problems = read_settings(raw, locate)
    if problems:
        raise ProblemsError(problems)
    return settings


def read_settings(raw: Mapping[str, object], locate: Locate) -> tuple[Settings, list[Problem]]:
    """As `parse_settings`, but return the settings together with the problems.

    If there are problems, use the settings only to look for more of them.
    """
    problems: list[Problem] = []
    top = ConfigReader(raw, "tlsgate:", problems, locate)
    domains = _domains(top)
    internal = sections.internal(top.section("internal"))
    acme = sections.acme(top.section("acme"))
    settings = Settings(
        domains=domains,
        gateways=_gateways(top, domains),
        internal=internal,
        inbound=sections.inbound(top.section("inbound")),
        acme=acme,
        agent=sections.agent(top.section("agent")),
        dns=sections.dns(top.section("dns")),
        mta_sts=sections.mta_sts(top.section("mtaSts")),
        tls_rpt=values.report_uri(top, "tlsRpt"),
        queue=sections.queue(top.section("queue")),
        message_size=top.integer("messageSize", 52_428_800, low=65_536, high=1 << 31),
        ports=sections.ports(
            top.section("ports"),
            internal=bool(internal.networks),
            http=acme.challenge == "http-01",
        ),
        milters=top.each("milters", lambda key, item: values.milter(top, key, item)),
        extra_ca_file=top.optional_text("extraCaFile"),
        resolver=sections.resolver(top.section("resolver")),
        network=sections.network(top.section("network")),
        routes=sections.routes(top.section("routes")),
        relayhost=sections.relayhost(top),
        images=sections.images(top.section("images")),
        partners=top.text("partners", "partners"),
        accept_weakening=values.change_digest(top, "acceptWeakening"),
        postmaster=values.mailbox(top, "postmaster") or "",
        delete_data=top.flag("deleteData", False),
    )
    top.finish()
    _cross_checks(top, settings)
    return settings, problems


def _cross_checks(top: ConfigReader, settings: Settings) -> None:
    """Report keys that contradict each other."""
    if settings.acme.challenge == "dns-01" and settings.dns.sink == "manual":
        top.problem(
            "acme.challenge",
            "challenge-needs-dns",
            "dns-01 needs dynamic DNS, but tlsgate:dns.sink is manual",
            "Write http-01, or set tlsgate:dns.sink to rfc2136",
        )
    second = settings.acme.fallback.directory if settings.acme.fallback else ""
    if second not in ("", settings.acme.directory) and len(settings.dns.caa_issuers) == 1:
        top.problem(
            "dns.caaIssuers",
            "issuer-missing",
            "names only one CA, so tlsgate:acme.fallback could not issue",
            "List the domains of both CAs, the first CA's first (list a shared one twice)",
        )
    if settings.dns.sink == "rfc2136" and settings.dns.zones:
        hosts = (host.name for host in settings.gateways if host.name)
        for name in dict.fromkeys((*settings.domains, *hosts)):
            if not any(is_within(name, zone) for zone in settings.dns.zones):
                top.problem(
                    "dns.zones",
                    "zone-missing",
                    f"no zone contains the name {name}",
                    "Add the zone that the name server answers for",
                )


def _domains(top: ConfigReader) -> tuple[str, ...]:
    seen: set[str] = set()

    def parse(key: str, item: object) -> str | None:
        name = values.domain(top, key, item)
        if name in seen:
            top.problem(key, "doubled", f"{name} appears twice", "List it once")
            return None
        if name is not None:
            seen.add(name)
        return name

    return top.each("domains", parse, required="List your mail domains, one per line")


def _gateways(top: ConfigReader, domains: tuple[str, ...]) -> tuple[GatewayHost, ...]:
    remedy = "Write `gateways: [{name: mx1.example.org, addresses: [192.0.2.1]}]`"

    def parse(key: str, item: object) -> GatewayHost | None:
        if not isinstance(item, Mapping):
            top.problem(key, "not-a-mapping", f"{item!r} is not a gateway host", remedy)
            return None
        reader = top.sub(key, item)
        name = _gateway_name(reader, domains)
        addresses = reader.each(
            "addresses",
            lambda k, i: values.address(reader, k, i),
            required="List the gateway's public addresses, such as 192.0.2.1",
        )
        reader.finish()
        return GatewayHost(name, addresses)

    hosts = top.each("gateways", parse, required=remedy)
    if len(hosts) > 1:
        top.problem(
            "gateways",
            "not-yet",
            "more than one gateway in a stack is not supported yet",
            "Name one gateway, and deploy each of the others as a separate stack",
        )
    return hosts


def _gateway_name(reader: ConfigReader, domains: tuple[str, ...]) -> str:
    """The name of the MX host; "" if it is missing or wrong."""
    text = reader.text("name", remedy="Write the MX host name, such as mx1.example.org")
    name = values.host(reader, "name", text) if text else None
    if name is None:
        return ""
    if domains and not any(is_within(name, domain) for domain in domains):
        reader.problem(
            "name",
            "host-outside-domains",
            f"{name} is in none of your domains ({', '.join(domains)})",
            "Choose a name in one of them: its certificate and TLSA record need that",
        )
    if name.removeprefix("mta-sts.") in domains and name.startswith("mta-sts."):
        message = f"{name} is the policy host's name (RFC 8461)"
        reader.problem("name", "policy-host-name", message, "Choose another name, such as mx1")
    return name
