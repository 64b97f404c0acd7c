"""Functions that each parse one value of the config, or report a problem with its key.

Every value that is accepted here can be rendered: no rendering function refuses it later, with an
error that does not name the key.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from tlsgate.dns.records import require_hostname
from tlsgate.partners.domains import NameFault, domain_fault, host_fault
from tlsgate.render.dns_records import tlsrpt_value
from tlsgate.render.postfix_settings import (
    MILTER,
    is_address,
    is_mailbox,
    is_sender,
    parse_network,
)
from tlsgate_pulumi.config_reader import ConfigReader
from tlsgate_pulumi.settings import Endpoint

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST_DAYS = 100
"""Postfix accepts no longer queue lifetime (postconf(5), maximal_queue_lifetime)."""
DERIVED = "_acme-challenge.mta-sts."
"""The longest prefix of a domain; with it, the name must still be valid (RFC 1035)."""
NAME_LENGTH = 253 - len(DERIVED)


def domain(reader: ConfigReader, key: str, item: object) -> str | None:
    """A canonical domain that an organisation can own, so no public suffix."""
    return _name(reader, key, item, domain_fault(item) if isinstance(item, str) else _NOT_A_STRING)


def host(reader: ConfigReader, key: str, item: object) -> str | None:
    """A canonical host name of two labels or more."""
    return _name(reader, key, item, host_fault(item) if isinstance(item, str) else _NOT_A_STRING)


_NOT_A_STRING: NameFault = ("must be a string", "Write a name, such as corp.example")


def _name(reader: ConfigReader, key: str, item: object, fault: NameFault | None) -> str | None:
    if fault is None and len(str(item)) > NAME_LENGTH:
        fault = (
            f"is longer than {NAME_LENGTH} characters",
            f"Choose a name that leaves room for {DERIVED} in front of it",
        )
    if fault is None:
        return str(item)
    if str(item).startswith("*.") or is_address(str(item)):
        fault = fault[0], _NOT_A_STRING[1]  # not the remedy for a partner
    reader.problem(key, "bad-domain", f"{item!r} {fault[0]}", fault[1])
    return None


def zone(reader: ConfigReader, key: str) -> bool:
    """Return whether a key is `.` or a canonical zone name, which may be a top-level domain."""
    try:
        if key != ".":
            require_hostname(key)
    except ValueError:
        remedy = "Write lower-case A-labels without a final dot, or . for the root"
        reader.problem(key, "bad-zone", f"{key!r} is not a zone", remedy)
        return False
    return True


def probe(reader: ConfigReader, key: str) -> str:
    """A name to look up: `.`, or a zone or host name."""
    value = reader.text(key, ".")
    try:
        return value if value == "." else require_hostname(value)
    except ValueError:
        remedy = "Write a name in a signed zone, or . for the root"
        reader.problem(key, "bad-domain", f"{value!r} is not a name", remedy)
        return "."


def address(reader: ConfigReader, key: str, item: object) -> str | None:
    """An IPv4 or IPv6 address in its shortest form."""
    if isinstance(item, str) and is_address(item):
        return str(ipaddress.ip_address(item))
    reader.problem(key, "bad-address", f"{item!r} is not an IP address", "Write 192.0.2.1")
    return None


def cidr(reader: ConfigReader, key: str, item: object) -> str | None:
    """A network that may send through the gateway; a very large one is refused."""
    try:
        network = parse_network(str(item))
    except ValueError as error:
        reader.problem(key, "bad-cidr", str(error), "Write a network such as 192.0.2.0/24")
        return None
    if network.prefixlen < (8 if network.version == 4 else 16):
        reader.problem(
            key,
            "open-relay",
            f"{network} would let strangers relay mail",
            "Name only the networks of your own mail servers",
        )
        return None
    return str(network)


def endpoint(
    reader: ConfigReader, key: str, default_port: int | None = None, *, required: bool = True
) -> Endpoint | None:
    """`host:port` or `[address]:port`; the port may be missing if there is a default."""
    value = reader.take(key)
    if value is None and not required:
        return None
    match = re.fullmatch(
        r"(?:\[([^\]]+)\]|([^:\s]+))(?::([0-9]{1,5}))?", "" if value is None else str(value)
    )
    port = int(match[3]) if match and match[3] else default_port
    where = match[1] or match[2] if match else ""
    if not _is_host(where) or port is None or not 0 < port < 65_536:
        message = "is missing" if value is None else f"{value!r} is not host:port"
        example = f"192.0.2.1:{default_port or 25}"
        reader.problem(key, "bad-endpoint", message, f"Write host:port, such as {example}")
        return None
    return Endpoint(where, port)


def _is_host(text: str) -> bool:
    if is_address(text):
        return True
    try:
        # If the last label is digits, it is a wrong address, or only a port.
        return not require_hostname(text.lower()).rpartition(".")[2].isdigit()
    except ValueError:
        return False


def published(reader: ConfigReader, key: str, default_port: int | None) -> Endpoint | None:
    """The address and port that the host publishes; by default on all its addresses."""
    value = reader.values.get(key)
    if value == "none" or (value is None and default_port is None):
        reader.take(key)
        return None
    if value is None and default_port is not None:
        reader.take(key)
        return Endpoint("0.0.0.0", default_port)  # noqa: S104 - a mail server is public
    found = endpoint(reader, key)
    if found is not None and not is_address(found.host):
        message = f"{found.host!r} is not an address of the deploying host"
        reader.problem(key, "bad-endpoint", message, "Write address:port, such as 0.0.0.0:25")
    return found


def https_url(reader: ConfigReader, key: str, default: str) -> str:
    """An https URL with a host."""
    value = reader.text(key, default)
    try:
        parts = urlsplit(value)
        good = parts.scheme == "https" and parts.hostname and (parts.port or 443)
    except ValueError:  # not a port, or not an address
        good = None
    if not good or not value.isascii() or any(char.isspace() for char in value):
        reader.problem(key, "bad-url", f"{value!r} is not an https URL", f"Write {default}")
        return default
    return value


def contact(reader: ConfigReader, key: str, item: object) -> str | None:
    """A mailto: URL."""
    if isinstance(item, str) and re.fullmatch(r"mailto:[!-?A-~]+@[!-?A-~]+", item):
        return item
    reader.problem(key, "bad-contact", f"{item!r} is not a mailto: URL", "Write mailto:a@b.example")
    return None


def mailbox(reader: ConfigReader, key: str) -> str | None:
    """A plain mail address, such as postmaster@corp.example; None if it is not set."""
    value = reader.optional_text(key)
    if value is not None and not is_mailbox(value):
        remedy = "Write an address in lower case, such as postmaster@example.org"
        reader.problem(key, "bad-address", f"{value!r} is not a plain address", remedy)
        return None
    return value


def sender(reader: ConfigReader, key: str, item: object) -> str | None:
    """A sender that the internal networks may use: a domain, `.domain` or an address."""
    if isinstance(item, str) and is_sender(item):
        return item
    message = f"{item!r} is not a sender"
    remedy = "Write a domain, .domain for those below it, or an address, in lower case"
    reader.problem(key, "bad-sender", message, remedy)
    return None


def report_uri(reader: ConfigReader, key: str) -> str | None:
    """Where TLS reports go (RFC 8460): a mailto: or https: URL."""
    value = reader.optional_text(key)
    if value is None:
        return None
    try:
        tlsrpt_value([value])
        good = value.startswith(("mailto:", "https:"))
    except ValueError:
        good = False
    if not good:
        remedy = "Write mailto:tls-reports@example.org"
        reader.problem(key, "bad-rua", f"{value!r} is not a mailto: or https: URL", remedy)
        return None
    return value


def duration(reader: ConfigReader, key: str, default: str) -> str:
    """A Postfix duration with its unit, such as `5d`."""
    value = reader.take(key)
    if value is None:
        return default
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{0,8}[smhdw]", value):
        message = f"{value!r} is not a duration"
        remedy = f"Write a number and s, m, h, d or w: {default}"
        reader.problem(key, "bad-duration", message, remedy)
        return default
    if seconds(value) > LONGEST_DAYS * SECONDS["d"]:
        message = f"{value} is longer than {LONGEST_DAYS} days"
        reader.problem(key, "bad-duration", message, f"Write a shorter one, such as {default}")
        return default
    return value


def seconds(value: str) -> int:
    """The length of a duration."""
    return int(value[:-1]) * SECONDS[value[-1]]


def change_digest(reader: ConfigReader, key: str) -> str:
    """The digest of a change, as the change guard shows it; "" if it is not set."""
    value = reader.text(key, "")
    if not re.fullmatch(r"[0-9a-f]{64}|", value):
        message = f"{value!r} is not the digest of a change"
        remedy = "Write the 64 hexadecimal digits from the refused preview"
        reader.problem(key, "bad-digest", message, remedy)
    return value


def milter(reader: ConfigReader, key: str, item: object) -> str | None:
    """The socket of a mail filter, in Postfix's form."""
    if isinstance(item, str) and MILTER.fullmatch(item):
        return item
    remedy = "Write inet:host:port or unix:/path"
    reader.problem(key, "bad-milter", f"{item!r} is not a milter", remedy)
    return None
