"""master.cf of the gateway (master(5)). Nothing is chrooted: the container is the jail."""

from __future__ import annotations

from tlsgate.render.postfix_settings import INTERNAL_PORT, PostfixSettings

_INTERNAL_LISTENER = f"""\
{INTERNAL_PORT}      inet  n       -       n       -       -       smtpd
    -o syslog_name=postfix/internal
    -o mynetworks=$internal_networks
    -o smtpd_tls_security_level=$internal_tls_level
    -o smtpd_tls_ask_ccert=no
    -o smtpd_client_restrictions=$internal_client_restrictions
    -o smtpd_sender_restrictions=$internal_sender_restrictions
    -o smtpd_relay_restrictions=permit_mynetworks,reject
    -o smtpd_recipient_restrictions=$internal_recipient_restrictions
"""

_MASTER = """\
# Made by tlsgate; changed by the next `pulumi up`, not by hand.
# service type  private unpriv  chroot  wakeup  maxproc command
smtp      inet  n       -       n       -       -       smtpd
{internal_listener}\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
# To the internal server: its own TLS level, and never the policy of a partner.
internal  unix  -       -       n       -       -       smtp
    -o syslog_name=postfix/to-internal
    -o smtp_tls_security_level={internal_tls}
    -o smtp_tls_policy_maps=
    -o smtp_tls_secure_cert_match=nexthop
    -o smtp_dns_support_level=enabled
    -o smtp_host_lookup=dns,native
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
# Its name is the generation's, so that no other generation's connections are found in it.
{connection_cache} unix - -     n       -       1       scache
# Holds the TLS of connections that are reused; without it every reuse ends in a failed handshake.
tlsproxy  unix  -       -       n       -       0       tlsproxy
postlog   unix-dgram n  -       n       -       1       postlogd
"""


def render_master(settings: PostfixSettings, connection_cache: str) -> str:
    """The text of master.cf; without internal networks there is no listener for them."""
    return _MASTER.format(
        internal_listener=_INTERNAL_LISTENER if settings.internal_networks else "",
        internal_tls=settings.internal_tls,
        connection_cache=connection_cache,
    )
