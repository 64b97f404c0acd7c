"""The gateway's policy helper: one process, two services that Postfix asks.

Outbound (`outbound`), a socketmap (socketmap_table(5)): which TLS does this destination demand, by
the partner's rule, by DANE (RFC 7672) or by MTA-STS (RFC 8461)? Inbound (`inbound`), policy
delegation (Postfix's SMTPD_POLICY_README): is this client the partner whose domain its sender
names? `contract` holds what Postfix's configuration and this service must agree on.

Both fail closed: what cannot be found out is answered with a temporary failure, so mail waits.
The one exception is RFC 8461's own: if the MTA-STS policy of a domain that is no partner's cannot
be fetched, and none is known, the answer is as without a policy.
"""
