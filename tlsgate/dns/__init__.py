"""DNS as tlsgate reads and writes it, on dnspython.

Reading, at a validating resolver: `nameservers` says which one is asked and whether its word on
DNSSEC is believed, `lookups` asks it, `mail_route` finds a domain's mail servers, `dane` and `tlsa`
what DANE says about them.

Writing, by RFC 2136 updates signed by TSIG (RFC 8945): `tsig` reads key files, `server` talks to
one authoritative server, `updates` publishes and withdraws record sets for the stack, `agent`
writes what belongs to the agent (challenges, TLSA), and `manual_records` looks up what a person
published by hand. `records` is a record set as a value.
"""
