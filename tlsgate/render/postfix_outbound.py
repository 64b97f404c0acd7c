"""main.cf, from the gateway to its peers: policies, TLS and time-outs (TLS_README, postconf(5))."""

from __future__ import annotations

from tlsgate.generation.contract import ACTIVE
from tlsgate.policy.contract import DESTINATIONS, EXTRA_CA, NOTICES, OUTBOUND_PORT, PARTNERS
from tlsgate.render.partner_maps import PartnerMaps
from tlsgate.render.postfix_settings import (
    MainCfSection,
    PostfixSettings,
    bracketed,
)
from tlsgate.tls import Strength, cipher_list

SYSTEM_ROOTS = "/etc/ssl/certs"
VERIFIED_STATUS = "verified_status"
"""The table that says which failures are final (`verified_status_table`)."""


def outbound_tls(settings: PostfixSettings, maps: PartnerMaps) -> MainCfSection:
    """Which policy mail has, and the TLS of every class (tlsgate.render.postfix_transports)."""
    helper = f"socketmap:inet:{bracketed(settings.policy_host)}:{OUTBOUND_PORT}"
    partners, rules = f"lmdb:{ACTIVE}/partner_policy", f"{helper}:{PARTNERS}{maps.rules.digest}"
    return "TLS, gateway to peer", {
        # Mail to partners at a rule without end needs no helper, so none can keep it waiting.
        "partner_policy_maps": partners,
        "dated_policy_maps": (partners, rules),
        # Partners first: the list may have grown since the milter chose a notice's way.
        "notice_policy_maps": (partners, f"{helper}:{NOTICES}"),
        # Everyone else's mail, and partners' mail that a fault brings here. The first table that
        # answers wins: partners, then MTA-STS; without an answer DANE, or opportunistic TLS. All
        # tables are asked for a name before any is for its `.parent`.
        "smtp_tls_policy_maps": (
            partners,
            *((rules,) if maps.rules.answers_outbound else ()),
            f"{helper}:{DESTINATIONS}",
        ),
        "smtp_tls_security_level": "dane",
        "smtp_dns_support_level": "dnssec",
        # With the default, the header `TLS-Required: no` would send to a partner in plaintext.
        "tls_required_enable": "no",
        "smtp_tls_CApath": SYSTEM_ROOTS,
        "smtp_tls_CAfile": f"{ACTIVE}/{EXTRA_CA}" if settings.extra_ca else "",
        "smtp_tls_fingerprint_digest": "sha256",
        "smtp_tls_mandatory_protocols": ">=TLSv1.2",
        "smtp_tls_mandatory_ciphers": "high",
        # For those without a policy old TLS is better than none (RFC 7435).
        "smtp_tls_protocols": ">=TLSv1",
        "smtp_tls_ciphers": "medium",
        # No session cache: each connection is verified. Connection reuse gives the speed.
        "smtp_tls_connection_reuse": "yes",
        "smtp_tls_loglevel": "1",
        "smtp_tls_note_starttls_offer": "yes",
        # The public certificate is a server's (D8).
        "smtp_tls_chain_files": "",
    }


def cipher_suites() -> MainCfSection:
    """The suites of each grade. What master.cf does not change is strict, in both directions."""
    return "Cryptography (tlsgate.tls)", {
        # Everyone else's, mandatory (DANE, MTA-STS) and opportunistic.
        "others_high_ciphers": "HIGH:!aNULL:!eNULL:@STRENGTH",
        "others_ciphers": "aNULL:-aNULL:HIGH:MEDIUM:@STRENGTH:@SECLEVEL=0",
        "tls_high_cipherlist": cipher_list(Strength.STRONG),
        # Of partners whose record says `tls: compatible`: their policy has `ciphers=medium`.
        "tls_medium_cipherlist": cipher_list(Strength.COMPATIBLE),
        # Both empty: the groups come from the file, for Postfix itself knows no hybrid ones.
        "tls_eecdh_auto_curves": "",
        "tls_ffdhe_auto_groups": "",
        "tls_config_file": f"{ACTIVE}/openssl.cnf",
        "tls_config_name": "tlsgate",
        "tls_preempt_cipherlist": "yes",
        "tls_ssl_options": "NO_COMPRESSION, NO_RENEGOTIATION",
    }


def time_outs() -> MainCfSection:
    """How long a server may take. Postfix's defaults are up to 300 s for each of these."""
    return "Time-outs, gateway to peer", {
        # Of a whole request or answer: a byte now and then does not restart it.
        "smtp_per_request_deadline": "yes",
        "smtp_connect_timeout": "15s",
        # Greet delays against spam take up to 30 s.
        "smtp_helo_timeout": "60s",
        "smtp_starttls_timeout": "30s",
        "smtp_xforward_timeout": "30s",
        "smtp_mail_timeout": "60s",
        "smtp_rcpt_timeout": "60s",
        "smtp_data_init_timeout": "60s",
        "smtp_data_xfer_timeout": "180s",
        # A shorter one would send a message twice that the server has taken (RFC 1047).
        "smtp_data_done_timeout": "600s",
        "smtp_rset_timeout": "20s",
        "smtp_quit_timeout": "5s",
    }


def openssl_config(groups: str) -> str:
    """openssl.cnf(5) for `tls_config_name`: the groups of the key exchange, preferred first."""
    return (
        "tlsgate = tlsgate_init\n"
        "[tlsgate_init]\n"
        "ssl_conf = tlsgate_ssl\n"
        "[tlsgate_ssl]\n"
        "system_default = tlsgate_defaults\n"
        "[tlsgate_defaults]\n"
        f"Groups = {groups}\n"
    )


def verified_status_table() -> str:
    """smtp_delivery_status_filter: a failure is final only if the verified server says so (D19).

    Postfix writes `host NAME[ADDRESS] said: …` of answers to MAIL, RCPT and DATA, which at a
    mandatory level come after the server has proved itself. Null MX, NXDOMAIN, an MX without
    address or that leads back here, a greeting or EHLO that is refused: all become temporary.
    So does what Postfix concludes itself, for it may have been told that before TLS.
    """
    said = r"^5\.[0-9.]+ host [^ ]+\[[^] ]+\] said: .* \(in reply to [A-Za-z ]+ command\)$"
    return f"""\
if !/{said}/
/^5(\\.[0-9]+\\.[0-9]+ .*)$/ 4$1
endif
"""
