"""A connection to one CA with its account open, whatever became of the account meanwhile.

key.pem          the account's key
next-key.pem     the key that it is being changed to; gone when the change is done, or is not
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from josepy.jwk import JWKEC
from requests.adapters import BaseAdapter

from tlsgate.acme.account import (
    KEY,
    NEXT_KEY,
    AccountGone,
    account_key,
    account_uri,
    find,
    make_key,
    open_account,
    retire,
)
from tlsgate.acme.ca import Ca
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.keys import Key, load_key
from tlsgate.acme.server import Clock, Server
from tlsgate.acme.trust import system_roots
from tlsgate.events import emit
from tlsgate.files import sync_directory

CLOCK_ERROR = timedelta(minutes=2)


class Connector:
    """Connects to a CA. `path`: the account's directory. Every method raises AcmeFault."""

    def __init__(
        self, ca: Ca, path: Path, clock: Clock, transport: BaseAdapter | None = None
    ) -> None:
        self._ca = ca
        self._path = path
        self._clock = clock
        self._transport = transport

    def plain(self) -> Server:
        """Without looking after the account: enough for what needs no signature."""
        return self._server(account_key(self._path))

    def open(self) -> Server:
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
                next="Mend the host's time service: signed DNS updates fail from 5 minutes on.",
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
        with server.told("changing the account's key"):
            server.protocol.change_key(uri, server.account_key, JWKEC(key=new))
        self._promote()
        emit("account-key", uri=uri, directory=self._ca.directory)
        return uri

    def _settle(self) -> None:
        """A change of the key that was begun: finds out whether the CA made it."""
        if not (self._path / NEXT_KEY).exists():
            return
        uri = account_uri(self._path) or ""
        if find(self._server(load_key(self._path / NEXT_KEY)), uri) is not None:
            self._promote()
        else:
            (self._path / NEXT_KEY).unlink()

    def _promote(self) -> None:
        (self._path / NEXT_KEY).replace(self._path / KEY)
        sync_directory(self._path)

    def _server(self, key: Key) -> Server:
        roots = self._ca.ca_file or system_roots()
        return Server(self._ca.directory, key, roots, self._clock, self._transport)
