"""Revokes a certificate whose key is compromised (RFC 8555, section 7.6). Nothing else revokes.

The request is signed by the certificate's own key, which proves to the CA that it is compromised,
whatever became of the account.
"""

from __future__ import annotations

from acme import messages
from cryptography import x509

from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.ca.trusted_roots import system_roots
from tlsgate.acme.config.agent_json import Config
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.gateway.generations import CertificateGeneration
from tlsgate.events import emit

KEY_COMPROMISE = 1
"""RFC 5280, section 5.3.1."""


def revoke(config: Config, generation: CertificateGeneration) -> None:
    """Asks its CA to; does nothing if it is revoked already. Raises AcmeFault or KeyFault."""
    directory = generation.meta.directory
    roots = {ca.directory: ca.ca_file for ca in config.cas}.get(directory)
    server = AcmeServer(directory, generation.key(), roots or system_roots())
    leaf = x509.load_pem_x509_certificate(generation.chain)
    serial = f"{leaf.serial_number:x}"
    try:
        with server.explaining_errors(f"revoking the certificate with serial {serial}"):
            server.protocol.revoke(leaf, KEY_COMPROMISE)
    except AcmeFault as fault:
        cause = fault.__cause__
        if not (isinstance(cause, messages.Error) and cause.code == "alreadyRevoked"):
            raise
    emit("revoked", serial=serial, directory=directory)
