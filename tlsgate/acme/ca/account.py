"""The account at one CA: its key is made on the volume; the CA names it by its URI.

RFC 8555, section 7.3. The CA finds an account by its key: a lost account.json is written again, and
an account that the CA has lost is registered again with the same key. The key of a deactivated
account is useless: `AccountGone` is raised, and `retire` moves the account's files aside.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from acme import errors, messages
from josepy.jwk import JWKEC
from requests.adapters import BaseAdapter

from tlsgate.acme.ca.client import AcmeServer
from tlsgate.acme.ca.trusted_roots import system_roots
from tlsgate.acme.config.agent_json import Config
from tlsgate.acme.config.ca import Ca, Eab
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key, KeyMissing, load_key, new_key, to_pem
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import Clock
from tlsgate.events import emit
from tlsgate.files import sync_directory, write
from tlsgate.record import Record
from tlsgate.state import StateFile

KEY, NEXT_KEY, ACCOUNT = "key.pem", "next-key.pem", "account.json"
RETIRED = "deactivated"
"""Part of the file names of what belonged to a deactivated account."""
CLOCK_ERROR = timedelta(minutes=2)
"""An alert is given if this machine's clock is wrong by more than this."""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{2,}=*")
_BINDING_CODES = ("unauthorized", "malformed", "externalAccountRequired")


class _Account(Record, frozen=True):
    """account.json. `directory`: the CA's."""

    directory: str
    uri: str
    contact: tuple[str, ...]


class AccountGone(AcmeFault):
    """The account was deactivated: only a new one, with a new key, can order."""


def account_uri(path: Path) -> str | None:
    """The URI of the account in this directory, None before it was registered."""
    known = _file(path).load()
    return known.uri if known else None


def contact_differs(path: Path, contact: tuple[str, ...]) -> bool:
    """Whether a registered account's contact differs from this one."""
    known = _file(path).load()
    return known is not None and known.contact != contact


def account_key(path: Path) -> Key:
    """The account's key; made if there is none. Raises KeyFault, OSError."""
    try:
        return load_key(path / KEY)
    except KeyMissing:
        return make_key(path / KEY)


def make_key(path: Path) -> Key:
    """A new key in this file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = new_key()
    write(path, to_pem(key), mode=0o600)
    return key


def retire(path: Path) -> None:
    """Renames the files of a deactivated account."""
    number = len(list(path.glob(f"{KEY}.{RETIRED}-*"))) + 1
    for name in (ACCOUNT, KEY):
        if (path / name).exists():
            (path / name).rename(path / f"{name}.{RETIRED}-{number}")


def open_account(server: AcmeServer, path: Path, ca: Ca) -> str:
    """Registers the account or finds it again; returns its URI. Raises AcmeFault."""
    known = _file(path).load()
    uri = find(server, known.uri) if known else None
    if uri is None:
        uri = _register(server, ca, known=known is not None)
    elif known and known.contact != ca.contact:
        _update(server, uri, ca.contact)
    _file(path).update(lambda _: _Account(server.directory, uri, ca.contact))
    return uri


def find(server: AcmeServer, uri: str) -> str | None:
    """The URI of the account that has the server's key; None if the CA knows no such account.

    Raises AcmeFault, AccountGone for one that was deactivated.
    """
    account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    try:
        with server.explaining_errors("looking up the account"):
            found = server.protocol.query_registration(account)
    except AcmeFault as fault:
        cause = fault.__cause__
        if isinstance(cause, messages.Error) and cause.code == "accountDoesNotExist":
            server.network.account = None
            return None
        if isinstance(cause, messages.Error) and cause.code == "unauthorized":
            raise _unusable(f"{uri} ({cause.detail})", str(cause.detail)) from cause
        raise
    status = str(found.body.to_json().get("status", "valid"))
    if status != "valid":
        raise _unusable(f"{found.uri} is {status} at the CA", status)
    return str(found.uri)


def _unusable(what: str, words: str) -> AcmeFault:
    """A CA revokes an account for a reason, so no new one is registered after that."""
    kind = AcmeFault if "revoked" in words else AccountGone
    return kind(
        f"the account {what}",
        "Ask the CA why. To go on with a new account, move the account's directory on the state "
        "volume away",
    )


def _file(path: Path) -> StateFile[_Account]:
    return StateFile(path / ACCOUNT, _Account, loss="The CA finds the account by its key.")


def _register(server: AcmeServer, ca: Ca, *, known: bool) -> str:
    binding = _binding(server, ca.eab) if ca.eab else None
    if binding is None and server.protocol.external_account_required():
        raise AcmeFault(
            "registering the account: the CA demands an external account binding",
            "Get a key id and a MAC key from the CA and set them as tlsgate:acme.eab",
        )
    new = messages.NewRegistration.from_data(
        contact=ca.contact, terms_of_service_agreed=True, external_account_binding=binding
    )
    try:
        with server.explaining_errors("registering the account"):
            return str(server.protocol.new_account(new).uri)
    except AcmeFault as fault:
        cause = fault.__cause__
        if isinstance(cause, errors.ConflictError):
            server.network.account = messages.RegistrationResource(
                body=messages.Registration(), uri=cause.location
            )
            _update(server, cause.location, ca.contact)
            return str(cause.location)
        if not isinstance(cause, messages.Error):
            raise
        if ca.eab and cause.code in _BINDING_CODES:
            remedy = "Correct tlsgate:acme.eab: key id and MAC key, as the CA gave them"
            raise AcmeFault(fault.reason, remedy, fault.retry_at) from cause
        if cause.code == "unauthorized" and not known and "deactivated" in str(cause.detail):
            raise _unusable(f"of this key ({cause.detail})", "deactivated") from cause
        raise


def _binding(server: AcmeServer, eab: Eab) -> dict[str, object]:
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


def _update(server: AcmeServer, uri: str, contact: tuple[str, ...]) -> None:
    account = messages.RegistrationResource(body=messages.Registration(), uri=uri)
    with server.explaining_errors("changing the account's contact"):
        server.protocol.update_registration(
            account, messages.Registration.from_data(contact=contact)
        )


class Connector:
    """Connects to a CA. `path`: the account's directory. Every method raises AcmeFault."""

    def __init__(
        self, ca: Ca, path: Path, clock: Clock, transport: BaseAdapter | None = None
    ) -> None:
        self._ca = ca
        self._path = path
        self._clock = clock
        self._transport = transport

    def plain(self) -> AcmeServer:
        """Without checking the account: enough for requests that need no signature."""
        return self._server(account_key(self._path))

    def open(self) -> AcmeServer:
        """With the account open; a deactivated one is replaced by a new one."""
        self._settle()
        server = self.plain()
        try:
            uri = open_account(server, self._path, self._ca)
        except AccountGone as gone:
            emit(
                "alert",
                what=f"the account at {self._ca.directory} was deactivated",
                reason=gone.reason,
                next="A new account is registered. If CAA records name the old one, run "
                "`pulumi up --refresh`.",
            )
            retire(self._path)
            server = self.plain()
            uri = open_account(server, self._path, self._ca)
        emit("account", uri=uri, directory=self._ca.directory)
        error = server.clock_error
        if error is not None and abs(error) > CLOCK_ERROR:
            ahead = "ahead of" if error > timedelta() else "behind"
            emit(
                "alert",
                what="this machine's clock is wrong",
                reason=f"it is {abs(error)} {ahead} that of {self._ca.directory}",
                next="Fix the host's time service: signed DNS updates fail from 5 minutes on.",
            )
        return server

    def change_key(self) -> str:
        """Gives the account a new key (RFC 8555, section 7.3.5); returns the account's URI.

        Whatever happens on the way, the next connection finds out which key the CA knows.
        """
        server = self.open()
        uri = account_uri(self._path)
        if uri is None:
            raise AcmeFault("the account is not on the state volume", "Run this again")
        new = make_key(self._path / NEXT_KEY)
        with server.explaining_errors("changing the account's key"):
            server.protocol.change_key(uri, server.account_key, JWKEC(key=new))
        self._promote()
        emit("account-key", uri=uri, directory=self._ca.directory)
        return uri

    def _settle(self) -> None:
        """If a change of the key was begun: finds out whether the CA accepted it."""
        try:
            key = load_key(self._path / NEXT_KEY)
        except KeyMissing:
            return
        uri = account_uri(self._path) or ""
        if find(self._server(key), uri) is not None:
            self._promote()
        else:
            (self._path / NEXT_KEY).unlink()

    def _promote(self) -> None:
        (self._path / NEXT_KEY).replace(self._path / KEY)
        sync_directory(self._path)

    def _server(self, key: Key) -> AcmeServer:
        roots = self._ca.ca_file or system_roots()
        return AcmeServer(self._ca.directory, key, roots, self._clock, self._transport)


class Accounts:
    """One for each CA, the first CA's first; called under the lock."""

    def __init__(
        self, config: Config, paths: Paths, clock: Clock, transport: BaseAdapter | None = None
    ) -> None:
        """`transport`: how requests get there, None for the network."""
        self._directories = [ca.directory for ca in config.cas]
        self._folders = [paths.account(ca.directory) for ca in config.cas]
        self._connectors = [
            Connector(ca, folder, clock, transport)
            for ca, folder in zip(config.cas, self._folders, strict=True)
        ]

    def known(self) -> list[str | None]:
        """The accounts' URIs as the volume has them; None for one that is not registered yet."""
        return [account_uri(folder) for folder in self._folders]

    def opened(self) -> list[str | None]:
        """The URIs after each account was checked, registered or replaced at its CA.

        A CA that cannot be asked keeps the account that is known. Raises AcmeFault if the first
        CA's is not known; a second CA may be registered with when it is needed.
        """
        found: list[str | None] = []
        accounts = zip(self._directories, self._connectors, self._folders, strict=True)
        for directory, connector, folder in accounts:
            try:
                connector.open()
            except AcmeFault as fault:
                if account_uri(folder) is None and not found:
                    raise
                what = f"the account at {directory} could not be checked"
                emit("alert", what=what, reason=fault.reason, next="What is known of it is kept.")
            found.append(account_uri(folder))
        return found

    def change_keys(self) -> list[str]:
        """Gives every registered account a new key; returns their URIs.

        Raises AcmeFault; then what was being changed is settled at the next order.
        """
        return [
            connector.change_key()
            for connector, uri in zip(self._connectors, self.known(), strict=True)
            if uri is not None
        ]
