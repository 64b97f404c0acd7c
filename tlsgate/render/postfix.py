"""Every file of a Postfix generation but the compiled maps (postconf(5), master(5), access(5))."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from tlsgate.partners.model import Partner
from tlsgate.problems import ProblemsError
from tlsgate.render.nexthop import lint_nexthops
from tlsgate.render.partner_maps import compile_partners
from tlsgate.render.partner_rules import RULES
from tlsgate.render.postfix_main import render_main
from tlsgate.render.postfix_master import render_master
from tlsgate.render.postfix_settings import REFUSE, PostfixSettings

__all__ = ["PostfixSettings", "render_postfix"]

# A mailbox is `local@domain`, the domain of letters, digits and hyphens only. This keeps out
# whatever could send mail by another key than the partner's: address literals, a final dot,
# characters beyond ASCII, a port, a second destination in the local part (RFC 5321, section 4.1.2
# allows some of them; no mail domain needs them).
_ADDRESS = r"/^[^@]+@([a-z0-9_-]+\.)+[a-z][a-z0-9-]*$/"

_OWN = "550 5.7.1 Mail in the name of our own domain is not accepted from outside"


def render_postfix(settings: PostfixSettings, partners: Sequence[Partner]) -> dict[str, str]:
    """File name → content.

    Raises ProblemsError for a route that would carry a partner's mail past its policy, and
    ValueError for a record that Postfix cannot enforce.
    """
    problems = lint_nexthops(partners, dict(settings.routes), settings.domains, settings.relayhost)
    if problems:
        raise ProblemsError(problems)
    maps = compile_partners(partners, settings.null_sender)
    tables = {
        "partner_policy": _table(maps.outbound),
        "partner_senders": _table(maps.inbound),
        "partner_networks": _table(maps.networks),
        "partner_recipients": _table(maps.recipients),
        RULES: maps.rules.to_json(),
        **dict(maps.anchors),
        "routes": _table((key, _route(hop)) for key, hop in sorted(settings.routes)),
        "sender_syntax": f"/^<>$/ DUNNO\n!{_ADDRESS} 553 5.1.7 Bad sender address\n",
        "recipient_syntax": f"!{_ADDRESS} 553 5.1.3 Bad recipient address\n",
    }
    if settings.own_senders == REFUSE:
        tables["own_senders"] = _table((domain, _OWN) for domain in sorted(settings.domains))
    if settings.extra_ca:
        tables["extra-ca.pem"] = settings.extra_ca

    def files(connection_cache: str) -> dict[str, str]:
        return {
            "main.cf": render_main(settings, maps, connection_cache),
            "master.cf": render_master(settings, connection_cache),
            **tables,
        }

    return files(_connection_cache(files("scache")))


def _connection_cache(files: Mapping[str, str]) -> str:
    """The name of the service that keeps connections for reuse: another for other files.

    Postfix tells connections apart by next hop and level, not by all of the policy. A delivery that
    goes on while the policy is tightened would else leave its connection to the mail after it.
    """
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return f"scache-{digest[:16]}"


def _table(entries: Iterable[tuple[str, str]]) -> str:
    """The source of a lookup table (postmap(1))."""
    return "".join(f"{key}\t{value}\n" for key, value in entries)


def _route(hop: str) -> str:
    return hop if hop.startswith("smtp:") else f"smtp:{hop}"
