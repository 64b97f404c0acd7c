"""DNS as tlsgate writes and reads it: RFC 2136 updates signed by TSIG (RFC 8945), on dnspython.

`tsig` reads key files, `server` talks to one authoritative server, `updates` publishes and
withdraws record sets for the stack, `agent` writes what belongs to the agent (challenges, TLSA),
and `resolver` looks up what a person published by hand.
"""
