"""Postfix configuration of the peers and of the internal mail server (postconf(5)). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab import plan

BEHIND_PROXY = 2525
"""The port of the Postfix behind the stripping proxy, on the container's loopback only."""
ROOTS_FILE = "/etc/postfix/roots.pem"

Parameters = Mapping[str, str]


def peer_main(peer: plan.Peer, mailbox_uid: int, *, repaired: bool = False) -> str:
    """main.cf of a peer; with `repaired`, of a peer that offers modern TLS."""
    transport = plan.Transport.TLS if repaired else peer.transport
    return _text(_server(peer.host, peer.domains, mailbox_uid) | _peer_tls(transport))


def peer_master(peer: plan.Peer) -> str:
    """master.cf of a peer."""
    behind = peer.transport is plan.Transport.STRIPPED
    return _master(f"127.0.0.1:{BEHIND_PROXY}" if behind else "smtp")


def internal_main(mailbox_uid: int) -> str:
    """main.cf of the internal server: it has the mailboxes and relays the rest to the gateway."""
    return _text(
        _server(plan.INTERNAL_HOST, plan.ORGANISATION_ZONES, mailbox_uid)
        | _peer_tls(plan.Transport.TLS)
        | {
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "relayhost": f"[{plan.GATEWAY_ADDRESS}]:{plan.GATEWAY_INTERNAL_PORT}",
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": plan.GATEWAY_HOST,
            "smtp_tls_CAfile": ROOTS_FILE,
            "smtp_tls_loglevel": "1",
            "tls_required_enable": "no",
            "minimal_backoff_time": "5s",
            "maximal_backoff_time": "10s",
            "queue_run_delay": "5s",
        }
    )


def internal_master() -> str:
    """master.cf of the internal server."""
    return _master("smtp")


def _server(host: str, domains: Sequence[str], mailbox_uid: int) -> dict[str, str]:
    return {
        "compatibility_level": "3.10",
        "myhostname": host,
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "inet_interfaces": "all",
        "inet_protocols": "ipv4",
        "maillog_file": "/dev/stdout",
        "alias_maps": "",
        "alias_database": "",
        # All addresses of the domains share one Maildir, the folder mounted at /mail.
        "virtual_mailbox_domains": " ".join(domains),
        "virtual_mailbox_base": "/",
        "virtual_mailbox_maps": "static:mail/",
        "virtual_uid_maps": f"static:{mailbox_uid}",
        "virtual_gid_maps": f"static:{mailbox_uid}",
        "virtual_minimum_uid": "1",
        "virtual_mailbox_limit": "0",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": (
            f"check_recipient_access regexp:{{ {{ /^{plan.NOBODY}/ 550 5.1.1 no such mailbox }} }}"
        ),
        "smtpd_client_connection_rate_limit": "0",
        "smtpd_client_connection_count_limit": "0",
    }


def _peer_tls(transport: plan.Transport) -> dict[str, str]:
    if transport is plan.Transport.NO_TLS:
        return {"smtpd_tls_security_level": "none"}
    offered = {
        "smtpd_tls_security_level": "may",
        "smtpd_tls_chain_files": "/etc/postfix/chain.pem",
        "smtpd_tls_received_header": "yes",
        "smtpd_tls_loglevel": "1",
        "smtpd_tls_protocols": ">=TLSv1.2",
    }
    if transport is plan.Transport.OLD_TLS:
        # OpenSSL 3 allows these versions only at its lowest security level.
        offered |= {
            "smtpd_tls_protocols": ">=TLSv1, <=TLSv1.1",
            "smtpd_tls_ciphers": "medium",
            "tls_medium_cipherlist": "ALL:@SECLEVEL=0",
        }
    return offered


def _text(parameters: Parameters) -> str:
    lines = (f"{name} = {value}".rstrip() for name, value in parameters.items())
    return "# Made by the lab (lab/postfix_files.py).\n" + "".join(f"{line}\n" for line in lines)


def _master(listener: str) -> str:
    rows = [(listener, "inet", "smtpd"), *_SERVICES]
    lines = (
        f"{name} {kind} {private} {unprivileged} n {wakeup} {limit} {command}\n"
        for name, kind, command, private, wakeup, limit in (
            (*row, *_details(row[0], row[1])) for row in rows
        )
        for unprivileged in ("n" if name in _PRIVILEGED else "-",)
    )
    return "".join(lines)


def _details(name: str, kind: str) -> tuple[str, str, str]:
    return ("n", "-", "-") if kind == "inet" else _DETAILS.get(name, ("-", "-", "-"))


_SERVICES = [
    ("pickup", "unix", "pickup"),
    ("cleanup", "unix", "cleanup"),
    ("qmgr", "unix", "qmgr"),
    ("tlsmgr", "unix", "tlsmgr"),
    ("rewrite", "unix", "trivial-rewrite"),
    ("bounce", "unix", "bounce"),
    ("defer", "unix", "bounce"),
    ("trace", "unix", "bounce"),
    ("verify", "unix", "verify"),
    ("flush", "unix", "flush"),
    ("proxymap", "unix", "proxymap"),
    ("proxywrite", "unix", "proxymap"),
    ("smtp", "unix", "smtp"),
    ("relay", "unix", "smtp"),
    ("showq", "unix", "showq"),
    ("error", "unix", "error"),
    ("retry", "unix", "error"),
    ("discard", "unix", "discard"),
    ("local", "unix", "local"),
    ("virtual", "unix", "virtual"),
    ("lmtp", "unix", "lmtp"),
    ("anvil", "unix", "anvil"),
    ("scache", "unix", "scache"),
    ("postlog", "unix-dgram", "postlogd"),
]
_PRIVILEGED = {"local", "virtual"}
"""Services that need root, to change to the owner of a mailbox."""
# Services with other values: private, wakeup, process limit (master(5)).
_DETAILS = {
    "pickup": ("n", "5", "1"),
    "cleanup": ("n", "-", "0"),
    "qmgr": ("n", "30", "1"),
    "tlsmgr": ("-", "1000?", "1"),
    "bounce": ("-", "-", "0"),
    "defer": ("-", "-", "0"),
    "trace": ("-", "-", "0"),
    "verify": ("-", "-", "1"),
    "flush": ("n", "1000?", "0"),
    "proxywrite": ("-", "-", "1"),
    "showq": ("n", "-", "-"),
    "anvil": ("-", "-", "1"),
    "scache": ("-", "-", "1"),
    "postlog": ("n", "-", "1"),
}
