"""MTA-STS as a sender sees it (RFC 8461): policies of other domains, found, fetched and kept.

`policy` reads the texts, `fetch` asks DNS and the policy hosts, `cache` and `cache_file` keep what
was found, and `policies` says which policy counts now. `host_check` fetches the gateway's own
policy as a sender would, before its id is published.
"""
