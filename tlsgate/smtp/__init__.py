"""SMTP as a client speaks it: sessions with the servers of a domain, up to STARTTLS and no further.

`requirement` reads what the gateway demands of a destination, `delivery` tries its servers in
Postfix's order, and `reasons` says why mail would not be sent.
"""
