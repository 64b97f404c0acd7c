"""One CA as an ACME server (RFC 8555): the client, the account, its limits, and revocation.

Orders are placed in `tlsgate.acme.orders`.
"""
