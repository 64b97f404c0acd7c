"""The way of a certificate to the gateway.

`generations` keeps it on the volume that the servers read, `install` makes it the one that is
served, and `tls_probe` looks whether the servers show it.
"""
