"""Renewal: whether a certificate is due is decided in `decision`, and done in `renewer`.

`ari` and `renewal_info` know what the CA suggests (RFC 9773), `failures` when to try again, and
`forced` what a person asked for.
"""
