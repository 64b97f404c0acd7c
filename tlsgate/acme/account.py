"""The account at one CA: its key is born on the volume, its URI is the CA's name for it.

RFC 8555, section 7.3. The CA knows an account by its key, so an account.json that is lost is
found again, and an account that the CA has lost is registered anew with the same key.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from acme import errors, messages

from tlsgate.acme.config import Config, Eab
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key, load_key, new_key, to_pem
from tlsgate.acme.server import Server
from tlsgate.generation.files import write, write_json

KEY, ACCOUNT = "key.pem", "account.json"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{2,}=*")
_BINDING_CODES = ("unauthorized", "malformed", "externalAccountRequired")


def account_uri(path: Path) -> str | None:
    """The URI of the account in this directory, None before it was registered."""
    values = _read(path)
    return values[0] if values else None


def account_key(path: Path) -> Key:
    """The account's key; made if there is none. Raises KeyFault."""
    if not (path / KEY).exists():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(path / KEY, to_pem(new_key()), mode=0o600)
    return load_key(path / KEY)


def open_account(server: Server, path: Path, config: Config) -> str:
    """Registers the account or finds it again; returns its URI. Raises AcmeFault."""
    known = _read(path)
    uri = _find(server, known[0]) if known else None
    if uri is None:
        uri = _register(server, config)
    elif known and known[1] != config.contact:
        _update(server, uri, config.contact)
    if known != (uri, config.contact):
        values = {"directory": server.directory, "uri": uri, "contact": list(config.contact)}
        write_json(path / ACCOUNT, values)
    return uri


def _read(path: Path) -> tuple[str, tuple[str, ...]] | None:
    """URI and contact."""
    try:
        values = json.loads((path / ACCOUNT).read_text())
        return str(values["uri"]), tuple(values["contact"])
    except (OSError, ValueError, KeyError, TypeError):
        # Not more than a memory: the CA finds the account by its key.
        return None


def _find(server: Server, uri: str) -> str | None:
    asked = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    try:
        with server.told("looking the account up"):
            found = server.protocol.query_registration(asked)
    except AcmeFault as fault:
        cause = fault.__cause__
        if isinstance(cause, messages.Error) and cause.code == "accountDoesNotExist":
            server.network.account = None
            return None
        raise
    status = found.body.to_json().get("status", "valid")
    if status != "valid":
        raise AcmeFault(
            f"the account {found.uri} is {status} at the CA",
            "Move the account's directory on the state volume away: a new one is then registered",
        )
    return str(found.uri)


def _register(server: Server, config: Config) -> str:
    binding = _binding(server, config.eab) if config.eab else None
    if binding is None and server.protocol.external_account_required():
        raise AcmeFault(
            "registering the account: the CA demands an external account binding",
            "Get a key id and a MAC key from the CA and set them as tlsgate:acme.eab",
        )
    new = messages.NewRegistration.from_data(
        contact=config.contact, terms_of_service_agreed=True, external_account_binding=binding
    )
    try:
        with server.told("registering the account"):
            return str(server.protocol.new_account(new).uri)
    except AcmeFault as fault:
        cause = fault.__cause__
        if isinstance(cause, errors.ConflictError):
            server.network.account = messages.RegistrationResource(
                body=messages.Registration(), uri=cause.location
            )
            _update(server, cause.location, config.contact)
            return str(cause.location)
        if config.eab and isinstance(cause, messages.Error) and cause.code in _BINDING_CODES:
            remedy = "Mend tlsgate:acme.eab: key id and MAC key, as the CA gave them"
            raise AcmeFault(fault.reason, remedy, fault.retry_at) from cause
        raise


def _binding(server: Server, eab: Eab) -> dict[str, object]:
    try:
        secret = eab.hmac_key_file.read_bytes().strip().decode("ascii", "replace")
    except OSError as fault:
        raise AcmeFault(
            f"the MAC key of the external account cannot be read: {fault}",
            "Set tlsgate:acme.eab to a file that can be read",
        ) from fault
    if not _BASE64URL.fullmatch(secret):
        raise AcmeFault(
            f"the MAC key of the external account, in {eab.hmac_key_file}, is not base64url",
            "Write it to the file of tlsgate:acme.eab as the CA gave it",
        )
    binding: dict[str, object] = messages.ExternalAccountBinding.from_data(
        server.account_key.public_key(), eab.key_id, secret, server.protocol.directory
    )
    return binding


def _update(server: Server, uri: str, contact: tuple[str, ...]) -> None:
    account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    with server.told("changing the account's contact"):
        server.protocol.update_registration(
            account, messages.Registration.from_data(contact=contact)
        )
