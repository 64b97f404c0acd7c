"""The gateway's policy helper: one process, two services that Postfix asks.

Outbound, a socketmap (socketmap_table(5)): what TLS does this destination demand, by DANE
(RFC 7672) and then by MTA-STS (RFC 8461)? Inbound, policy delegation (Postfix's
SMTPD_POLICY_README): is this client the partner whose domain its sender names?

Both fail closed: what cannot be found out is answered with a temporary failure, so mail waits.
The one exception is RFC 8461's own: an MTA-STS policy of a stranger that cannot be had is as none,
unless one is known.
"""
