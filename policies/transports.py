"""Rules on the transports of partners' mail: their own (D18), and only with strong TLS (D21)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from policies.partners import LIST, POLICY, keys, listed, table
from policies.postfix import MAIN, MASTER, settings
from policies.rule import DELIVERY, CheckedResource, Rule, some
from tlsgate.partners.model import Mode
from tlsgate.render.notices import BOUNCE_OPTIONS, CLEANUP, TRANSPORT
from tlsgate.render.partner_maps import DATED, PARTNER
from tlsgate.tls import COMPATIBLE_SUITES, SECURITY_LEVEL, STRONG_SUITES

ROUTES = "routes"
_GRADES = {"tls_high_cipherlist": STRONG_SUITES, "tls_medium_cipherlist": COMPATIBLE_SUITES}


def own_transport(resource: CheckedResource) -> Iterator[str]:
    """Require a partner transport with level `secure` for each key of an enforced partner."""
    if LIST not in resource.files:
        return
    routes = table(resource.files.get(ROUTES, ""))
    enforced = [one for one in listed(resource) if one.mode is Mode.ENFORCE]
    lost = [
        key
        for partner in enforced
        for key in keys(partner)
        if routes.get(key) not in (f"{PARTNER}:", f"{DATED}:")
    ]
    if lost:
        yield f"{ROUTES}: no partner transport for {some(lost)}"
    for name in (PARTNER, DATED):
        options = _in_force(resource.files, f"{name} unix")
        level = options.get("smtp_tls_security_level")
        if level != "secure":
            yield f"{MASTER}, service {name}: smtp_tls_security_level = {level}. Write secure"
        first = options.get("smtp_tls_policy_maps", "").partition(" ")[0].rstrip(",")
        if not first.endswith(f"/{POLICY}"):
            yield f"{MASTER}, service {name}: smtp_tls_policy_maps does not use {POLICY} first"


def strong_suites(resource: CheckedResource) -> Iterator[str]:
    """Require only the suites and the security level of tlsgate.tls, for partners and listeners."""
    if LIST not in resource.files:
        return
    for name in (PARTNER, DATED):
        for service in (f"{name} unix", f"tlsproxy-{name} unix"):
            yield from _weak_suites(service, _in_force(resource.files, service))
    for service in ("smtp inet", "2525 inet"):
        yield from _weak_suites(service, _in_force(resource.files, service))


def notices(resource: CheckedResource) -> Iterator[str]:
    """Require that every notice passes the milter before it is sent."""
    if LIST not in resource.files:
        return
    wanted = dict(re.findall(r"-o (\w+)=(\S+)", BOUNCE_OPTIONS))
    demands = {
        **{f"{name} unix": wanted for name in ("bounce", "defer", "trace")},
        f"{CLEANUP} unix": {"milter_default_action": "tempfail"},
        f"{TRANSPORT} unix": {"smtp_tls_security_level": "secure"},
    }
    for service, options in demands.items():
        found = _in_force(resource.files, service)
        for name, value in options.items():
            if found.get(name) != value:
                yield f"{MASTER}, service {service}: {name} = {found.get(name)}. Write {value}"
    if not _in_force(resource.files, f"{CLEANUP} unix").get("non_smtpd_milters"):
        yield f"{MASTER}, service {CLEANUP} unix: non_smtpd_milters names no milter"
    size = _in_force(resource.files, "bounce unix").get("bounce_size_limit")
    if size != "1":
        yield f"{MAIN}: bounce_size_limit = {size}, so notices contain message content. Write 1"


def _weak_suites(service: str, options: Mapping[str, str]) -> Iterator[str]:
    for name, allowed in _GRADES.items():
        words = [word for word in re.split(r"[:\s,]+", options.get(name, "")) if word]
        levels = [word for word in words if word.startswith("@SECLEVEL=")]
        others = sorted(set(words) - set(allowed) - set(levels))
        if others or not words:
            has = some(others) if others else "nothing"
            yield f"{service}: {name} has {has}, not only strong suites"
        if not levels or not all(one.partition("=")[2] >= str(SECURITY_LEVEL) for one in levels):
            yield f"{service}: {name} is below OpenSSL's security level {SECURITY_LEVEL}"


def _in_force(files: Mapping[str, str], service: str) -> dict[str, str]:
    """Return the parameters of a service: those of main.cf, overridden by its own options."""
    found = settings(files)
    main = {one.name: one.value for one in found if one.place == MAIN}
    own = {one.name: one.value for one in found if one.place == f"{MASTER}, service {service}"}
    return {
        name: main.get(value[1:], "") if value.startswith("$") else value
        for name, value in (main | own).items()
    }


RULES = (
    Rule(
        "partner-transport",
        "Partners' mail has transports that other mail does not use.",
        (DELIVERY,),
        own_transport,
    ),
    Rule(
        "partner-strong-tls",
        "TLS with partners has at least 112 bits, forward secrecy and no anonymous suites.",
        (DELIVERY,),
        strong_suites,
    ),
    Rule(
        "partner-notices",
        "Bounces and warnings about partners' mail have no content and are sent protected.",
        (DELIVERY,),
        notices,
    ),
)
