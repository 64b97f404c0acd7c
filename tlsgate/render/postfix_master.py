"""master.cf of the gateway (master(5)). Nothing is chrooted: the container is the jail."""

from __future__ import annotations

from tlsgate.render.notices import BOUNCE_OPTIONS, cleanup_service
from tlsgate.render.postfix_settings import INTERNAL_PORT, PostfixSettings
from tlsgate.render.postfix_transports import transports

_INTERNAL_LISTENER = f"""\
# Processes of its own: connections to port 25 never keep the organisation's own servers waiting.
{INTERNAL_PORT}      inet  n       -       n       -       100     smtpd
    -o syslog_name=postfix/internal
    -o mynetworks=$internal_networks
    -o smtpd_tls_security_level=$internal_tls_level
    -o smtpd_tls_ask_ccert=no
    -o smtpd_discard_ehlo_keywords=$internal_discard_ehlo_keywords
    -o smtpd_client_restrictions=$internal_client_restrictions
    -o smtpd_sender_restrictions=$internal_sender_restrictions
    -o smtpd_relay_restrictions=permit_mynetworks,reject
    -o smtpd_recipient_restrictions=$internal_recipient_restrictions
"""

_MASTER = """\
# Made by tlsgate; changed by the next `pulumi up`, not by hand.
# service type  private unpriv  chroot  wakeup  maxproc command
# More processes than a few addresses may hold by smtpd_client_connection_count_limit.
smtp      inet  n       -       n       -       300     smtpd
{internal_listener}\
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
{bounce_options}\
defer     unix  -       -       n       -       0       bounce
{bounce_options}\
trace     unix  -       -       n       -       0       bounce
{bounce_options}\
{notice_cleanup}\
verify    unix  -       -       n       -       1       verify
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
discard   unix  -       -       n       -       -       discard
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
# The classes of outbound mail, each with its client, its TLS and its connection cache.
{transports}"""


def render_master(settings: PostfixSettings, generation: str) -> str:
    """The text of master.cf; without internal networks there is no listener for them."""
    lines = (line for one in transports(settings) for line in one.services(generation))
    return _MASTER.format(
        internal_listener=_INTERNAL_LISTENER if settings.internal_networks else "",
        bounce_options=BOUNCE_OPTIONS,
        notice_cleanup=cleanup_service(settings.notices_host),
        transports="".join(lines),
    )
