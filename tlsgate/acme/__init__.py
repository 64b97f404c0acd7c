"""Certificates that keep themselves valid: ACME (RFC 8555), dns-01 or http-01, and TLSA (RFC 6698).

One program, two callers: `pulumi up` runs `issue` once in a job, the agent's container runs `run`
for ever. They share the volumes and one lock, so a certificate is never ordered twice. Keys are
born on the volumes and never leave them (decisions D1, D2, D8, D9).
"""
