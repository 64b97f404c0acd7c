"""From a stack's config to `Settings`, or to every problem at once, each with its key.

Pure: `parse_settings` gets the raw values of `tlsgate:*`; `components/inputs.py` reads them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from components.config_reader import ConfigReader, Locate
from components.settings import (
    AcmeSettings,
    DnsSettings,
    Endpoint,
    GatewayHost,
    ImageSettings,
    InternalSettings,
    MtaStsSettings,
    NetworkSettings,
    PortSettings,
    QueueSettings,
    ResolverSettings,
    Settings,
)
from tlsgate.partners.domains import domain_fault, is_within
from tlsgate.problems import Problem, ProblemsError
from tlsgate.render.mta_sts import MAX_AGE_LIMIT
from tlsgate.render.postfix_settings import MILTER, is_address, is_route

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
DEFAULT_SUBNET = "172.31.25.0/24"
DURATION = re.compile(r"[1-9][0-9]*[smhdw]")


def parse_settings(raw: Mapping[str, object], locate: Locate) -> Settings:
    """Return the settings, or raise `ProblemsError` with all that is wrong.

    `raw` maps the keys without `tlsgate:` to plain values; `locate` finds a key's file and line.
    """
    problems: list[Problem] = []
    top = ConfigReader(raw, "tlsgate:", problems, locate)
    domains = top.each("domains", lambda key, item: _domain(top, key, item))
    if not domains and not any(p.key.startswith("tlsgate:domains") for p in problems):
        top.problem(
            "domains", "missing", "no domain is named", "List your mail domains, one a line"
        )
    internal = _internal(top.section("internal"))
    acme = _acme(top.section("acme"))
    settings = Settings(
        domains=domains,
        gateways=_gateways(top, domains),
        internal=internal,
        acme=acme,
        dns=_dns(top.section("dns")),
        mta_sts=_mta_sts(top.section("mtaSts")),
        tls_rpt=_tls_rpt(top),
        queue=_queue(top.section("queue")),
        message_size=top.integer("messageSize", 52_428_800, low=65_536, high=1 << 31),
        ports=_ports(
            top.section("ports"),
            internal=bool(internal.networks),
            http=acme.challenge == "http-01",
        ),
        milters=top.each("milters", lambda key, item: _milter(top, key, item)),
        extra_ca_file=top.optional_text("extraCaFile"),
        resolver=_resolver(top.section("resolver")),
        network=_network(top.section("network")),
        routes=_routes(top.section("routes")),
        relayhost=_relayhost(top),
        images=_images(top.section("images")),
        partners=top.text("partners", "partners"),
        delete_data=top.flag("deleteData", False),
    )
    top.finish()
    _cross_checks(top, settings)
    if problems:
        raise ProblemsError(problems)
    return settings


def _cross_checks(top: ConfigReader, settings: Settings) -> None:
    """Report what no single key shows."""
    if settings.acme.challenge == "dns-01" and settings.dns.sink == "manual":
        top.problem(
            "acme.challenge",
            "challenge-needs-dns",
            "dns-01 needs dynamic DNS, but tlsgate:dns.sink is manual",
            "Write http-01, or set tlsgate:dns.sink to rfc2136",
        )
    if settings.dns.sink == "rfc2136" and settings.dns.zones:
        for name in (*settings.domains, *(host.name for host in settings.gateways)):
            if not any(is_within(name, zone) for zone in settings.dns.zones):
                top.problem(
                    "dns.zones",
                    "zone-missing",
                    f"no zone holds the name {name}",
                    "Add the zone that the name server answers for",
                )


def _domain(reader: ConfigReader, key: str, item: object) -> str | None:
    fault = domain_fault(item) if isinstance(item, str) else ("is not a text", "Write a domain")
    if fault is None:
        return str(item)
    reader.problem(key, "bad-domain", f"{item!r} {fault[0]}", fault[1])
    return None


def _gateways(top: ConfigReader, domains: tuple[str, ...]) -> tuple[GatewayHost, ...]:
    def parse(key: str, item: object) -> GatewayHost:
        reader = top.sub(key, item)
        name = reader.text("name", remedy="Write the MX host name, such as mx1.example.org")
        if name and domains and not any(is_within(name, domain) for domain in domains):
            reader.problem(
                "name",
                "host-outside-domains",
                f"{name} lies in none of your domains ({', '.join(domains)})",
                "Choose a name in one of them; its certificate and TLSA record are made there",
            )
        addresses = reader.each("addresses", lambda k, i: _address(reader, k, i))
        reader.finish()
        return GatewayHost(name, addresses)

    hosts = top.each("gateways", parse)
    if not hosts:
        remedy = "Write `gateways: [{name: mx1.example.org, addresses: [192.0.2.1]}]`"
        top.problem("gateways", "missing", "no gateway host is named", remedy)
    if len(hosts) > 1:
        top.problem(
            "gateways",
            "not-yet",
            "more than one gateway in a stack is not supported yet",
            "Name one gateway; deploy the others as stacks of their own",
        )
    return hosts


def _address(reader: ConfigReader, key: str, item: object) -> str | None:
    try:
        return str(ipaddress.ip_address(str(item)))
    except ValueError:
        reader.problem(key, "bad-address", f"{item!r} is not an IP address", "Write 192.0.2.1")
        return None


def _cidr(reader: ConfigReader, key: str, item: object) -> str | None:
    try:
        network = ipaddress.ip_network(str(item))
    except ValueError as error:
        reader.problem(key, "bad-cidr", str(error), "Write a network such as 192.0.2.0/24")
        return None
    if network.prefixlen < (8 if network.version == 4 else 16):
        reader.problem(
            key,
            "open-relay",
            f"{network} would open the relay to strangers",
            "Name only the networks of your own mail servers",
        )
        return None
    return str(network)


def _endpoint(
    reader: ConfigReader, key: str, default_port: int | None = None, *, required: bool = True
) -> Endpoint | None:
    value = reader.take(key)
    if value is None and not required:
        return None
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\s]+))(?::(\d{1,5}))?", str(value or ""))
    port = int(match[3]) if match and match[3] else default_port
    if match is None or port is None or not 0 < port < 65_536:
        message = "is missing" if value is None else f"{value!r} is not host:port"
        reader.problem(key, "bad-endpoint", message, "Write host:port, such as 192.0.2.1:25")
        return None
    return Endpoint(match[1] or match[2], port)


def _internal(reader: ConfigReader) -> InternalSettings:
    networks = reader.each("networks", lambda key, item: _cidr(reader, key, item))
    server = _endpoint(reader, "server", 25)
    tls = reader.choice("tls", "encrypt", ("none", "may", "encrypt", "secure"))
    require_tls = reader.flag("requireTls", True)
    if server is not None and tls == "secure" and is_address(server.host):
        message = "secure verifies a name, but tlsgate:internal.server is an address"
        reader.problem("tls", "secure-needs-name", message, "Name the server, or write encrypt")
    reader.finish()
    return InternalSettings(networks, server or Endpoint("", 25), tls, require_tls)


def _acme(reader: ConfigReader) -> AcmeSettings:
    directory = reader.text("directory", LETS_ENCRYPT)
    if urlsplit(directory).scheme != "https" or not urlsplit(directory).hostname:
        reader.problem("directory", "bad-url", f"{directory!r} is not an https URL", "Write https:")
    contact = reader.each("contact", lambda key, item: _mailto(reader, key, item))
    eab = reader.section("eab")
    key_id, hmac_key_file = eab.optional_text("keyId"), eab.optional_text("hmacKeyFile")
    if (key_id is None) != (hmac_key_file is None):
        eab.problem("keyId", "half-eab", "keyId and hmacKeyFile go together", "Set both or neither")
    eab.finish()
    settings = AcmeSettings(
        directory=directory,
        contact=contact,
        profile=reader.optional_text("profile"),
        challenge=reader.choice("challenge", "dns-01", ("dns-01", "http-01")),
        ca_file=reader.optional_text("caFile"),
        eab_key_id=key_id,
        eab_hmac_key_file=hmac_key_file,
    )
    reader.finish()
    return settings


def _mailto(reader: ConfigReader, key: str, item: object) -> str | None:
    if isinstance(item, str) and re.fullmatch(r"mailto:[^@\s]+@[^@\s]+", item):
        return item
    reader.problem(key, "bad-contact", f"{item!r} is not a mailto: URL", "Write mailto:a@b.example")
    return None


def _dns(reader: ConfigReader) -> DnsSettings:
    sink = reader.choice("sink", "rfc2136", ("rfc2136", "manual"))
    dynamic = sink == "rfc2136"
    server = _endpoint(reader, "server", 53, required=dynamic)
    zones = reader.each("zones", lambda key, item: _domain(reader, key, item))
    key_remedy = "Name the file that `tsig-keygen` wrote"
    tsig = reader.text("tsigKeyFile", None if dynamic else "", remedy=key_remedy)
    agent = reader.text("agentTsigKeyFile", None if dynamic else "", remedy=key_remedy)
    if dynamic and not zones:
        reader.problem("zones", "missing", "no zone is named", "List the zones to be updated")
    if tsig and tsig == agent:
        reader.problem(
            "agentTsigKeyFile",
            "same-key",
            "is the key that Pulumi uses",
            "Give the agent a narrow key, for _acme-challenge and TLSA names only",
        )
    settings = DnsSettings(
        sink=sink,
        server=server,
        agent_server=_endpoint(reader, "agentServer", 53, required=False) or server,
        zones=zones,
        tsig_key_file=tsig or None,
        agent_tsig_key_file=agent or None,
        ttl=reader.integer("ttl", 300, low=30, high=86_400),
        caa_issuers=reader.each("caaIssuers", lambda key, item: _domain(reader, key, item)),
    )
    reader.finish()
    return settings


def _mta_sts(reader: ConfigReader) -> MtaStsSettings:
    settings = MtaStsSettings(
        mode=reader.choice("mode", "testing", ("enforce", "testing", "none")),
        max_age=reader.integer("maxAge", 604_800, low=86_400, high=MAX_AGE_LIMIT),
        addresses=reader.each("addresses", lambda key, item: _address(reader, key, item)),
    )
    if not settings.addresses:
        remedy = "List the public addresses of the policy host"
        reader.problem("addresses", "missing", "is missing", remedy)
    reader.finish()
    return settings


def _tls_rpt(top: ConfigReader) -> str | None:
    value = top.optional_text("tlsRpt")
    if value is not None and not re.fullmatch(r"(mailto:[^@\s,;!]+@[^@\s,;!]+|https://\S+)", value):
        remedy = "Write mailto:tls-reports@example.org"
        top.problem("tlsRpt", "bad-rua", f"{value!r} is no mailto: or https: URL", remedy)
    return value


def _queue(reader: ConfigReader) -> QueueSettings:
    settings = QueueSettings(
        lifetime=_duration(reader, "lifetime", "5d"),
        delay_warning=_duration(reader, "delayWarning", "1h"),
        retry_shortest=_duration(reader, "retryShortest", "5m"),
        retry_longest=_duration(reader, "retryLongest", "1h"),
    )
    reader.finish()
    return settings


def _duration(reader: ConfigReader, key: str, default: str) -> str:
    value = reader.text(key, default)
    if not DURATION.fullmatch(value):
        message = f"{value!r} is not a duration"
        reader.problem(
            key, "bad-duration", message, f"Write a number and s, m, h, d or w: {default}"
        )
        return default
    return value


def _ports(reader: ConfigReader, *, internal: bool, http: bool) -> PortSettings:
    settings = PortSettings(
        smtp=_published(reader, "smtp", 25),
        internal=_published(reader, "internal", 2525 if internal else None),
        http=_published(reader, "http", 80 if http else None),
        https=_published(reader, "https", 443),
    )
    reader.finish()
    return settings


def _published(reader: ConfigReader, key: str, default_port: int | None) -> Endpoint | None:
    """Return where the host publishes a port: on all its addresses unless one is named."""
    value = reader.values.get(key)
    if value == "none" or (value is None and default_port is None):
        reader.take(key)
        return None
    if value is None and default_port is not None:
        reader.take(key)
        return Endpoint("0.0.0.0", default_port)  # noqa: S104 - a mail server is for everybody
    endpoint = _endpoint(reader, key)
    if endpoint is not None and not is_address(endpoint.host):
        message = f"{endpoint.host!r} is not an address of the deploying host"
        reader.problem(key, "bad-endpoint", message, "Write address:port, such as 0.0.0.0:25")
    return endpoint


def _milter(reader: ConfigReader, key: str, item: object) -> str | None:
    if isinstance(item, str) and MILTER.fullmatch(item):
        return item
    remedy = "Write inet:host:port or unix:/path"
    reader.problem(key, "bad-milter", f"{item!r} is not a milter", remedy)
    return None


def _resolver(reader: ConfigReader) -> ResolverSettings:
    stubs = reader.section("stubZones")
    zones = tuple(
        (str(zone), stubs.each(zone, lambda key, item: _address(stubs, key, item)))
        for zone in sorted(stubs.values)
    )
    anchors = reader.optional_text("trustAnchorFile")
    probe = reader.text("probe", ".")
    reader.finish()
    return ResolverSettings(zones, anchors, probe)


def _network(reader: ConfigReader) -> NetworkSettings:
    subnet = reader.text("subnet", DEFAULT_SUBNET)
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError as error:
        reader.problem(
            "subnet", "bad-cidr", str(error), f"Write a network such as {DEFAULT_SUBNET}"
        )
        network = ipaddress.ip_network(DEFAULT_SUBNET)
    if network.num_addresses < 16 or network.version != 4:
        message = f"{network} does not hold the stack's containers"
        reader.problem("subnet", "bad-cidr", message, "Write an IPv4 network of /28 or larger")
        network = ipaddress.ip_network(DEFAULT_SUBNET)
    settings = NetworkSettings(str(network), reader.optional_text("existing"))
    reader.finish()
    return settings


def _routes(reader: ConfigReader) -> tuple[tuple[str, str], ...]:
    routes = [(str(domain), reader.text(domain)) for domain in sorted(reader.values)]
    for domain, hop in routes:
        if hop and not is_route(hop):
            message = f"{hop!r} is not a next hop that keeps the gateway's TLS policy"
            remedy = "Write smtp:, a host, or [host]:port"
            reader.problem(domain, "bad-route", message, remedy)
    return tuple(routes)


def _relayhost(top: ConfigReader) -> str | None:
    value = top.optional_text("relayhost")
    if value is not None and (not is_route(value) or value.startswith("smtp:")):
        message = f"{value!r} is not a next hop"
        top.problem("relayhost", "bad-route", message, "Write a domain, a host, or [host]:port")
    return value


def _images(reader: ConfigReader) -> ImageSettings:
    settings = ImageSettings(
        reader.text("base", "debian:trixie-slim"), reader.optional_text("buildCaFile")
    )
    reader.finish()
    return settings
