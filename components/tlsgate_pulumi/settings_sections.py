"""Functions that each read one section of the config: keys, defaults, and contradictions."""

from __future__ import annotations

import ipaddress

from tlsgate.acme.config.ca import FAILURES_BEFORE_FALLBACK
from tlsgate.acme.config.limits import KINDS
from tlsgate.render.mta_sts import MAX_AGE_LIMIT
from tlsgate.render.postfix_settings import (
    NULL_SENDERS,
    OWN_SENDERS,
    PARTNERS,
    RECIPIENT_CHECKS,
    REFUSE,
    is_address,
    is_route,
    is_route_key,
)
from tlsgate_pulumi import config_values as values
from tlsgate_pulumi.config_reader import ConfigReader
from tlsgate_pulumi.settings import (
    AcmeSettings,
    AgentSettings,
    DnsSettings,
    Endpoint,
    FallbackSettings,
    ImageSettings,
    InboundSettings,
    InternalSettings,
    MtaStsSettings,
    NetworkSettings,
    PortSettings,
    QueueSettings,
    ResolverSettings,
)

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
DEFAULT_SUBNET = "172.31.25.0/24"


def internal(reader: ConfigReader) -> InternalSettings:
    """The internal side: networks, mail server, and their TLS levels."""
    networks = reader.each("networks", lambda key, item: values.cidr(reader, key, item))
    server = values.endpoint(reader, "server", 25)
    tls = reader.choice("tls", "encrypt", ("none", "may", "encrypt", "secure"))
    require_tls = reader.flag("requireTls", True)
    if server is not None and tls == "secure" and is_address(server.host):
        message = "secure needs a name to verify, but tlsgate:internal.server is an address"
        remedy = "Use the server's name, or write encrypt"
        reader.problem("tls", "secure-needs-name", message, remedy)
    senders = reader.each("senders", lambda key, item: values.sender(reader, key, item))
    recipients = reader.choice("recipients", "verify", RECIPIENT_CHECKS)
    folder = reader.text("recipientsFolder", "recipients")
    reader.finish()
    return InternalSettings(
        networks, server or Endpoint("", 25), tls, require_tls, senders, recipients, folder
    )


def inbound(reader: ConfigReader) -> InboundSettings:
    """Port 25: bounces, and mail with a sender in the own domains."""
    settings = InboundSettings(
        null_sender=reader.choice("nullSender", PARTNERS, NULL_SENDERS),
        own_senders=reader.choice("ownSenders", REFUSE, OWN_SENDERS),
    )
    reader.finish()
    return settings


def acme(reader: ConfigReader) -> AcmeSettings:
    """The public CA."""
    directory = values.https_url(reader, "directory", LETS_ENCRYPT)
    contact = reader.each("contact", lambda key, item: values.contact(reader, key, item))
    key_id, hmac_key_file = _eab(reader.section("eab"))
    settings = AcmeSettings(
        directory=directory,
        contact=contact,
        profile=reader.optional_text("profile"),
        challenge=reader.choice("challenge", "dns-01", ("dns-01", "http-01")),
        ca_file=reader.optional_text("caFile"),
        eab_key_id=key_id,
        eab_hmac_key_file=hmac_key_file,
        fallback=_fallback(reader, directory),
        limits=_limits(reader.section("limits")),
    )
    reader.finish()
    return settings


def _eab(reader: ConfigReader) -> tuple[str | None, str | None]:
    """The key id and the file of the MAC key: both or neither."""
    key_id, hmac_key_file = reader.optional_text("keyId"), reader.optional_text("hmacKeyFile")
    if (key_id is None) != (hmac_key_file is None):
        message = "keyId and hmacKeyFile must be set together"
        reader.problem("keyId", "half-eab", message, "Set both or neither")
    reader.finish()
    return key_id, hmac_key_file


def _fallback(acme: ConfigReader, first: str) -> FallbackSettings | None:
    """The second CA; None if there is none. It must differ from the first one."""
    reader = acme.section("fallback")
    if not reader.values:
        return None
    # There is no default: the user chooses the CA, and CAA records must allow it.
    directory = reader.text("directory", remedy="Write the URL of the second CA's directory")
    if directory:
        directory = values.https_url(reader, "directory", LETS_ENCRYPT)
    if directory == first:
        message = f"{first} is already the first CA"
        reader.problem("directory", "same-ca", message, "Name another CA")
    key_id, hmac_key_file = _eab(reader.section("eab"))
    settings = FallbackSettings(
        directory=directory,
        contact=reader.each("contact", lambda key, item: values.contact(reader, key, item)),
        profile=reader.optional_text("profile"),
        ca_file=reader.optional_text("caFile"),
        eab_key_id=key_id,
        eab_hmac_key_file=hmac_key_file,
        after=reader.integer("after", FAILURES_BEFORE_FALLBACK, low=1, high=100),
    )
    reader.finish()
    return settings


def _limits(reader: ConfigReader) -> tuple[tuple[str, int, int], ...]:
    """The limits of each kind in the config; a missing number is Let's Encrypt's."""
    limits = []
    for kind, (count, seconds, _) in KINDS.items():
        key = kind.replace("_a", "A")  # as the other keys of a stack's config are written
        if key in reader.values:
            part = reader.section(key)
            limits.append(
                (
                    kind,
                    part.integer("count", count, low=1, high=1_000_000),
                    part.integer("seconds", seconds, low=1, high=366 * 86_400),
                )
            )
            part.finish()
        else:
            reader.take(key)
    reader.finish()
    return tuple(limits)


def agent(reader: ConfigReader) -> AgentSettings:
    """What the agent does by itself, and how it is monitored."""
    settings = AgentSettings(
        rotate_days=reader.integer("rotateDays", 90, low=0, high=3650),
        # A short TTL makes a roll-over short; other records hardly ever change.
        tlsa_ttl=reader.integer("tlsaTtl", 0, low=0, high=86_400) or None,
        metrics_port=reader.integer("metricsPort", 9464, low=0, high=65_535) or None,
        webhook_file=reader.optional_text("webhookFile"),
    )
    reader.finish()
    return settings


def dns(reader: ConfigReader) -> DnsSettings:
    """Where records are published, and with which keys."""
    sink = reader.choice("sink", "rfc2136", ("rfc2136", "manual"))
    dynamic = sink == "rfc2136"
    server = values.endpoint(reader, "server", 53, required=dynamic)
    zones = reader.each(
        "zones",
        lambda key, item: values.domain(reader, key, item),
        required="List the zones to update" if dynamic else "",
    )
    key_remedy = "Name the file that `tsig-keygen` wrote"
    tsig = reader.text("tsigKeyFile", None if dynamic else "", remedy=key_remedy)
    agent = reader.text("agentTsigKeyFile", None if dynamic else "", remedy=key_remedy)
    if tsig and tsig == agent:
        reader.problem(
            "agentTsigKeyFile",
            "same-key",
            "is the key that Pulumi uses",
            "Use a narrow key for the agent, for _acme-challenge and TLSA names only",
        )
    settings = DnsSettings(
        sink=sink,
        server=server,
        agent_server=values.endpoint(reader, "agentServer", 53, required=False) or server,
        zones=zones,
        tsig_key_file=tsig or None,
        agent_tsig_key_file=agent or None,
        ttl=reader.integer("ttl", 300, low=30, high=86_400),
        caa_issuers=reader.each("caaIssuers", lambda key, item: values.domain(reader, key, item)),
        caa_account_uri=reader.flag("caaAccountUri", False),
    )
    if settings.caa_account_uri and not settings.caa_issuers:
        message = "is true, but tlsgate:dns.caaIssuers names no CA"
        reader.problem("caaAccountUri", "no-issuer", message, "List the CAs' domains there")
    reader.finish()
    return settings


def mta_sts(reader: ConfigReader) -> MtaStsSettings:
    """The MTA-STS policy and the public addresses of its host."""
    settings = MtaStsSettings(
        mode=reader.choice("mode", "testing", ("enforce", "testing", "none")),
        max_age=reader.integer("maxAge", 604_800, low=86_400, high=MAX_AGE_LIMIT),
        addresses=reader.each(
            "addresses",
            lambda key, item: values.address(reader, key, item),
            required="List the public addresses of the policy host",
        ),
    )
    reader.finish()
    return settings


def queue(reader: ConfigReader) -> QueueSettings:
    """How long mail waits."""
    settings = QueueSettings(
        lifetime=values.duration(reader, "lifetime", "5d"),
        delay_warning=values.duration(reader, "delayWarning", "1h"),
        retry_shortest=values.duration(reader, "retryShortest", "5m"),
        retry_longest=values.duration(reader, "retryLongest", "1h"),
    )
    if values.seconds(settings.retry_shortest) > values.seconds(settings.retry_longest):
        message = f"{settings.retry_shortest} is longer than retryLongest, {settings.retry_longest}"
        reader.problem("retryShortest", "bad-duration", message, "Write the shorter time here")
    reader.finish()
    return settings


def ports(reader: ConfigReader, *, internal: bool, http: bool) -> PortSettings:
    """The published ports. `internal`, `http`: whether these have a default."""
    settings = PortSettings(
        smtp=values.published(reader, "smtp", 25),
        internal=values.published(reader, "internal", 2525 if internal else None),
        http=values.published(reader, "http", 80 if http else None),
        https=values.published(reader, "https", 443),
    )
    reader.finish()
    return settings


def resolver(reader: ConfigReader) -> ResolverSettings:
    """The validating resolver: its stub zones and trust anchors."""
    stubs = reader.section("stubZones")
    zones = tuple(
        (
            zone,
            stubs.each(
                zone,
                lambda key, item: values.address(stubs, key, item),
                required="List the addresses of the zone's name servers",
            ),
        )
        for zone in sorted(stubs.values)
        if values.zone(stubs, zone)
    )
    anchors = reader.optional_text("trustAnchorFile")
    probe = values.probe(reader, "probe")
    reader.finish()
    return ResolverSettings(zones, anchors, probe)


def network(reader: ConfigReader) -> NetworkSettings:
    """The Docker network of the stack's containers."""
    subnet = reader.text("subnet", DEFAULT_SUBNET)
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError as error:
        reader.problem(
            "subnet", "bad-cidr", str(error), f"Write a network such as {DEFAULT_SUBNET}"
        )
        network = ipaddress.ip_network(DEFAULT_SUBNET)
    # All hosts in it may ask the resolver: a huge network would make it an open resolver.
    if network.version != 4 or not 8 <= network.prefixlen <= 28:
        message = f"{network} cannot be the network of the stack's containers"
        reader.problem("subnet", "bad-cidr", message, "Write an IPv4 network from /28 to /8")
        network = ipaddress.ip_network(DEFAULT_SUBNET)
    settings = NetworkSettings(str(network), reader.optional_text("existing"))
    reader.finish()
    return settings


def routes(reader: ConfigReader) -> tuple[tuple[str, str], ...]:
    """Next hops by destination."""
    routes = [(domain, reader.text(domain)) for domain in sorted(reader.values)]
    for domain, hop in routes:
        if not is_route_key(domain):
            message = f"{domain!r} is not a destination"
            remedy = "Write a domain in lower case, .domain for its subdomains, or *"
            reader.problem(domain, "bad-route", message, remedy)
        if hop and not is_route(hop):
            message = f"{hop!r} is not a next hop that keeps the gateway's TLS policy"
            remedy = "Write smtp:, a host, or [host]:port"
            reader.problem(domain, "bad-route", message, remedy)
    return tuple(routes)


def relayhost(top: ConfigReader) -> str | None:
    """The next hop of all other mail."""
    value = top.optional_text("relayhost")
    if value is not None and (not is_route(value) or value.startswith("smtp:")):
        message = f"{value!r} is not a next hop"
        top.problem("relayhost", "bad-route", message, "Write a domain, a host, or [host]:port")
    return value


def images(reader: ConfigReader) -> ImageSettings:
    """How images are built."""
    settings = ImageSettings(
        reader.text("base", "debian:trixie-slim"), reader.optional_text("buildCaFile")
    )
    reader.finish()
    return settings
