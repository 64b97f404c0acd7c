"""Every file of a Postfix generation but the compiled maps (postconf(5), master(5), access(5))."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from tlsgate.partners.model import Partner
from tlsgate.policy.contract import EXTRA_CA, RULES
from tlsgate.problems import ProblemsError
from tlsgate.render.nexthop import lint_nexthops, parent_names
from tlsgate.render.notices import notice_files
from tlsgate.render.partner_maps import PartnerMaps, compile_partners
from tlsgate.render.postfix_inbound import (
    RECIPIENT_SYNTAX,
    SENDER_SYNTAX,
    alias_table,
    own_sender_table,
    recipient_table,
    sender_table,
)
from tlsgate.render.postfix_main import render_main
from tlsgate.render.postfix_master import render_master
from tlsgate.render.postfix_outbound import (
    VERIFIED_STATUS,
    openssl_config,
    verified_status_table,
)
from tlsgate.render.postfix_settings import REFUSE, PostfixSettings
from tlsgate.tls import GROUPS

__all__ = ["PostfixSettings", "render_postfix"]


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
        **notice_files(settings.domains, partners, alias_table(settings)),
        "routes": _table(sorted(_routes(settings, maps).items())),
        VERIFIED_STATUS: verified_status_table(),
        "openssl.cnf": openssl_config(GROUPS),
        "sender_syntax": SENDER_SYNTAX,
        "recipient_syntax": RECIPIENT_SYNTAX,
        "internal_senders": _table(sender_table(settings)),
        "aliases": _table(sorted(alias_table(settings))),
    }
    if settings.recipients == "list":
        tables["recipients"] = _table(recipient_table(settings))
    if settings.own_senders == REFUSE:
        tables["own_senders"] = _table(own_sender_table(settings))
    if settings.extra_ca:
        tables[EXTRA_CA] = settings.extra_ca

    def files(generation: str) -> dict[str, str]:
        return {
            "main.cf": render_main(settings, maps, generation),
            "master.cf": render_master(settings, generation),
            **tables,
        }

    return files(_digest(files("")))


def _digest(files: Mapping[str, str]) -> str:
    """The name of these files, for what must not outlive them: connections and sessions."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def _routes(settings: PostfixSettings, maps: PartnerMaps) -> dict[str, str]:
    """The transport table: partners' mail by their own transports, the rest as configured.

    The nexthop lint lets only those routes of a partner's names pass that change nothing, such as
    `smtp:`: they mean the partner's transport too.
    """
    partners = dict(maps.transports)
    routes = {key: _route(hop) for key, hop in settings.routes}
    for key in routes:
        parents = (f".{parent}" for parent in parent_names(key.removeprefix(".")))
        if of_partner := next((one for one in (key, *parents) if one in partners), None):
            routes[key] = partners[of_partner]
    return routes | partners


def _table(entries: Iterable[tuple[str, str]]) -> str:
    """The source of a lookup table (postmap(1))."""
    return "".join(f"{key}\t{value}\n" for key, value in entries)


def _route(hop: str) -> str:
    return hop if hop.startswith("smtp:") else f"smtp:{hop}"
