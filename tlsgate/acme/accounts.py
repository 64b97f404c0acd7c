"""The accounts at the configured CAs, for those who ask about them or give them another key."""

from __future__ import annotations

from requests.adapters import BaseAdapter

from tlsgate.acme.account import account_uri
from tlsgate.acme.config import Config
from tlsgate.acme.connection import Connector
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.paths import Paths
from tlsgate.acme.server import Clock
from tlsgate.events import emit


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
        """The URIs after each account was looked for, registered or replaced at its CA.

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
                what = f"the account at {directory} could not be looked for"
                emit("alert", what=what, reason=fault.reason, next="What is known of it stays.")
            found.append(account_uri(folder))
        return found

    def change_keys(self) -> list[str]:
        """Gives every account that is registered another key; returns their URIs.

        Raises AcmeFault; then what was being changed is settled at the next order.
        """
        return [
            connector.change_key()
            for connector, uri in zip(self._connectors, self.known(), strict=True)
            if uri is not None
        ]
