"""Challenges (RFC 8555, sections 7.5 and 8): answered here, by `dns01` or `http01`.

`validation` proves control of an order's names to the CA; `responses` puts the answers in place.
"""
