"""Certificates that keep themselves valid: ACME (RFC 8555), dns-01 or http-01, and TLSA (RFC 6698).

One program, two callers: `pulumi up` runs `issue` once in a job, and the agent's container runs
`run` until it is stopped. They share the volumes and one lock, so a certificate is never ordered
twice. Keys are made on the volumes and never leave them (decisions D1, D2, D8, D9).

A certificate goes one way through the folders, from `agent` to `gateway`: `renewal` decides that it
is due, `orders` orders it at a CA (`ca`), `challenges` prove control of its names, `rollover`
publishes its key and changes it, and `gateway` puts it in service.
"""
