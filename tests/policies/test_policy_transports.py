"""Rules on the partners' transports and their TLS, over files as they are rendered."""

from __future__ import annotations

import pytest

from policies.partners import LIST
from policies.rule import DELIVERY
from tests.policies.run_rules import check_resource
from tests.unit.partners.partner_files import load, record
from tests.unit.render.test_postfix import SETTINGS
from tlsgate.partners.format import canonical_json
from tlsgate.render.postfix import render_postfix

LISTED = load(acme=record())
FILES = {**render_postfix(SETTINGS, LISTED), LIST: canonical_json(LISTED)}
TRANSPORT, STRONG, NOTICES = "partner-transport", "partner-strong-tls", "partner-notices"


def reported(rule: str, file: str = "", old: str = "", new: str = "") -> list[str]:
    """What the rule says after one change."""
    assert not file or FILES[file].count(old) == 1, FILES[file].count(old)
    content = {name: t.replace(old, new) if name == file else t for name, t in FILES.items()}
    return check_resource(rule, (DELIVERY, {"files": content}))


@pytest.mark.parametrize("rule", [TRANSPORT, STRONG, NOTICES])
def test_rendered_files_pass(rule: str) -> None:
    assert reported(rule) == []


_PARTNER = "-o smtp_tls_security_level=secure\n    -o smtp_tls_servername=hostname\n"
_FINAL = (
    "    -o smtp_delivery_status_filter=$verified_status_filter\n"
    "    -o smtp_discard_ehlo_keywords=silent-discard,size\n"
)
_MAPS = f"{_FINAL}    -o smtp_tls_policy_maps=$partner_policy_maps"


@pytest.mark.parametrize(
    ("rule", "file", "old", "new", "expected"),
    [
        (
            TRANSPORT,
            "routes",
            "\nacme.example\tpartner:",
            "\nacme.example\tsmtp:",
            ["routes: no partner transport for acme.example"],
        ),
        (
            TRANSPORT,
            "routes",
            ".acme.example\tpartner:\n",
            "",
            ["routes: no partner transport for .acme.example"],
        ),
        (
            TRANSPORT,
            "master.cf",
            f"{_PARTNER}{_MAPS}",
            f"{_PARTNER.replace('secure', 'may')}{_MAPS}",
            ["master.cf, service partner: smtp_tls_security_level = may. Write secure"],
        ),
        (
            TRANSPORT,
            "main.cf",
            "partner_policy_maps = lmdb:/run/tlsgate/active/partner_policy",
            "partner_policy_maps = lmdb:/run/tlsgate/active/routes",
            ["master.cf, service partner: smtp_tls_policy_maps does not use partner_policy first"],
        ),
        (
            STRONG,
            "main.cf",
            "DHE-RSA-CHACHA20-POLY1305:@SECLEVEL=2",
            "DHE-RSA-CHACHA20-POLY1305:AES128-SHA:@SECLEVEL=2",
            [
                f"{service}: tls_high_cipherlist has AES128-SHA, not only strong suites"
                for service in (
                    *("partner unix", "tlsproxy-partner unix", "partner-dated unix"),
                    *("tlsproxy-partner-dated unix", "smtp inet", "2525 inet"),
                )
            ],
        ),
        (
            STRONG,
            "master.cf",
            "tlsproxy-partner unix  -       -       n       -       0       tlsproxy\n",
            "tlsproxy-partner unix  -       -       n       -       0       tlsproxy\n"
            "    -o tls_high_cipherlist=ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=1\n",
            ["tlsproxy-partner unix: tls_high_cipherlist is below OpenSSL's security level 2"],
        ),
        (
            NOTICES,
            "master.cf",
            "       0       bounce\n    -o internal_mail_filter_classes=bounce\n"
            "    -o cleanup_service_name=notice-cleanup\ndefer ",
            "       0       bounce\ndefer ",
            [
                "master.cf, service bounce unix: internal_mail_filter_classes = None. Write bounce",
                "master.cf, service bounce unix: cleanup_service_name = None. Write notice-cleanup",
            ],
        ),
        (
            NOTICES,
            "master.cf",
            "-o milter_default_action=tempfail",
            "-o milter_default_action=accept",
            [
                "master.cf, service notice-cleanup unix: milter_default_action = accept."
                " Write tempfail"
            ],
        ),
        (
            NOTICES,
            "master.cf",
            "    -o non_smtpd_milters=inet:notices:10041\n",
            "",
            ["master.cf, service notice-cleanup unix: non_smtpd_milters names no milter"],
        ),
        (
            NOTICES,
            "main.cf",
            "bounce_size_limit = 1",
            "bounce_size_limit = 50000",
            ["main.cf: bounce_size_limit = 50000, so notices contain message content. Write 1"],
        ),
    ],
)
def test_a_fault_is_reported(rule: str, file: str, old: str, new: str, expected: list[str]) -> None:
    assert reported(rule, file, old, new) == expected


def test_other_files_are_ignored() -> None:
    for rule in (TRANSPORT, STRONG, NOTICES):
        assert check_resource(rule, (DELIVERY, {"files": {"nginx.conf": "events {}"}})) == []
