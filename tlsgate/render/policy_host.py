"""The files of a policy host's generation: nginx, and the policy that it serves.

RFC 8461, section 3.3: HTTPS with a certificate for `mta-sts.<domain>`, media type text/plain, no
redirects. Port 80 answers ACME's http-01 (RFC 8555, section 8.3) and nothing else. Cryptography is
that of tlsgate.tls; a browser uses only HTTPS after its first visit (RFC 6797).

`nginx.conf` needs no certificate; `https.conf` names the certificates. The watcher copies
`https.conf` to `HTTPS_INCLUDE` when the certificates are staged. Until then only port 80 is served,
which is needed to get the first certificate by http-01.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlsgate.dns.records import require_hostname
from tlsgate.generation.contract import ACTIVE, HTTPS_INCLUDE, TLS_DIRECTORY
from tlsgate.render.mta_sts import PolicySettings, policy_text
from tlsgate.tls import GROUPS, Strength, cipher_list

POLICY_FILE = "mta-sts.txt"
NAMES_PER_CERTIFICATE = 25
"""Public CAs' short-lived and TLS-server profiles allow no more names."""
HSTS_SECONDS = 63_072_000
"""Two years, as Mozilla's intermediate profile asks."""


@dataclass(frozen=True, slots=True)
class PolicyHostSettings:
    """`domains` in the config's order; `ipv6` where the container's network has IPv6."""

    domains: tuple[str, ...]
    policy: PolicySettings
    ipv6: bool = False


def group_certificates(domains: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Certificate name → its `mta-sts.` names, at most 25 each, in the order given.

    The order is kept, not sorted: a domain that is appended touches the last certificate only.
    """
    names = [f"mta-sts.{require_hostname(domain)}" for domain in domains]
    groups = [
        tuple(names[start : start + NAMES_PER_CERTIFICATE])
        for start in range(0, len(names), NAMES_PER_CERTIFICATE)
    ]
    return tuple((f"policy-{number}", group) for number, group in enumerate(groups, start=1))


def render_policy_host(settings: PolicyHostSettings) -> dict[str, str]:
    """File name → content: `nginx.conf`, `https.conf` and the policy, `mta-sts.txt`."""
    return {
        "nginx.conf": _NGINX.format(
            listen=_listen("80", settings.ipv6),
            https_include=_as_pattern(HTTPS_INCLUDE),
            ciphers=cipher_list(Strength.STRONG),
            groups=GROUPS,
        ),
        "https.conf": _https(settings),
        POLICY_FILE: policy_text(settings.policy),
    }


def _https(settings: PolicyHostSettings) -> str:
    servers = [_REJECT.format(listen=_listen("443 ssl default_server", settings.ipv6))]
    # One server for each certificate, not for each name: each needs a TLS context in nginx.
    servers += [
        _SERVER.format(
            listen=_listen("443 ssl", settings.ipv6),
            names="\n            ".join(names),
            certificate=f"{TLS_DIRECTORY}/{certificate}.pem",
            policy=f"{ACTIVE}/{POLICY_FILE}",
            hsts=HSTS_SECONDS,
        )
        for certificate, names in group_certificates(settings.domains)
    ]
    return "".join(servers)


def _listen(port_and_flags: str, ipv6: bool) -> str:
    lines = f"listen {port_and_flags};"
    return f"{lines}\n        listen [::]:{port_and_flags};" if ipv6 else lines


def _as_pattern(path: str) -> str:
    """The path as a pattern that matches only itself: a pattern in nginx may match no file."""
    return f"{path[:-1]}[{path[-1]}]"


_NGINX = """\
# Made by tlsgate; changed by the next `pulumi up`, not by hand.
worker_processes 1;
daemon off;
pid /run/tlsgate/nginx.pid;
error_log stderr warn;

events {{
    worker_connections 512;
}}

http {{
    log_format events escape=json '{{"event":"http","at":"$time_iso8601","level":"info",'
        '"what":"a request was answered","client":"$remote_addr","host":"$host",'
        '"request":"$request","status":$status,"bytes":$body_bytes_sent,"tls":"$ssl_protocol"}}';
    access_log /dev/stdout events;
    server_tokens off;
    default_type text/plain;
    types {{ }}
    keepalive_timeout 10s;
    client_header_timeout 10s;
    client_body_timeout 10s;
    send_timeout 10s;
    client_max_body_size 1k;
    # 10,000 names of up to 63 octets a label must fit.
    server_names_hash_max_size 32768;
    server_names_hash_bucket_size 512;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers {ciphers};
    ssl_ecdh_curve {groups};
    ssl_prefer_server_ciphers on;
    ssl_session_tickets off;

    server {{
        {listen}
        server_name _;
        root /challenge;
        location / {{
            return 404;
        }}
        location ^~ /.well-known/acme-challenge/ {{
            limit_except GET {{ deny all; }}
            disable_symlinks on;
        }}
    }}

    # This file does not exist until the certificates are staged.
    include {https_include};
}}
"""

_REJECT = """\
    server {{
        {listen}
        server_name _;
        ssl_reject_handshake on;
    }}
"""

_SERVER = """\
    server {{
        {listen}
        server_name
            {names};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        # `always`: for errors too. A location inherits these headers only if it adds none itself.
        add_header Strict-Transport-Security "max-age={hsts}" always;
        add_header X-Content-Type-Options nosniff always;
        add_header Content-Security-Policy "default-src 'none'; frame-ancestors 'none'" always;
        location / {{
            return 404;
        }}
        location = /.well-known/mta-sts.txt {{
            limit_except GET {{ deny all; }}
            alias {policy};
        }}
    }}
"""
