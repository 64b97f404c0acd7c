"""The part of the gateway's generation that the policy helper reads, and when it is read again.

`current` is a symlink that the delivery of a partner list switches: a new target is a new
generation. One that cannot be read leaves the one before in force, with an alert line.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tlsgate.events import emit
from tlsgate.policy.identities import IdentityIndex, load_identities

POLL_SECONDS = 1.0
IDENTITIES = "identities.json"
EXTRA_CA = "extra-ca.pem"
PARTNER_POLICY = "partner_policy"
"""The source of Postfix's table: a key, a tab and a policy on each line."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A generation in force. `parents`: the partner table's `.parent` keys."""

    target: str
    identities: IdentityIndex
    trust: ssl.SSLContext
    parents: frozenset[str]


def load(current: Path) -> Loaded:
    """Reads the generation that `current` points to. Raises OSError, ValueError.

    Every file is read by the generation's own path, so that a switch meanwhile mixes nothing.
    """
    target = current.readlink()
    directory = current.parent / target
    identities = load_identities((directory / IDENTITIES).read_text("utf-8"))
    extra = directory / EXTRA_CA
    certificates = extra.read_text("ascii") if extra.exists() else ""
    table = (directory / PARTNER_POLICY).read_text("utf-8").splitlines()
    keys = (line.partition("\t")[0] for line in table)
    parents = frozenset(key for key in keys if key.startswith("."))
    return Loaded(str(target), identities, trust_store(certificates), parents)


def trust_store(extra: str = "") -> ssl.SSLContext:
    """The system's roots and, in PEM, those that the organisation adds (TLS 1.2 and later)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 refuses chains for lack of, say, an authority key identifier, which no browser
    # does. Here a refused chain means "no policy", so that strictness would open, not close.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if extra.strip():
        context.load_verify_locations(cadata=extra)
    return context


class Generation:
    """Follows `current` and holds what is in force."""

    def __init__(self, current: Path) -> None:
        self._current = current
        self._listeners: list[Callable[[], None]] = []
        self._seen: str | None = None
        self._loaded: Loaded | None = None
        self._trust = trust_store()

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called after each new generation is in force."""
        self._listeners.append(listener)

    def identities(self) -> IdentityIndex | None:
        """The list in force; None before the first delivery."""
        return self._loaded.identities if self._loaded else None

    def covers(self, domain: str) -> bool:
        """Whether a partner's record speaks for this domain because it is below the partner's."""
        parents = self._loaded.parents if self._loaded else frozenset()
        while "." in domain:
            domain = domain.partition(".")[2]
            if f".{domain}" in parents:
                return True
        return False

    def trust(self) -> ssl.SSLContext:
        """The trusted roots for policy hosts."""
        return self._loaded.trust if self._loaded else self._trust

    async def poll(self) -> None:
        """Looks once; a generation that was refused is looked at again only when it changes."""
        try:
            target = str(self._current.readlink())
        except OSError:
            return
        if target == self._seen:
            return
        self._seen = target
        try:
            self._loaded = await asyncio.to_thread(load, self._current)
        except (OSError, ValueError) as fault:
            emit(
                "alert",
                what=f"generation {target} refused",
                reason=str(fault),
                next="the generation before stays in force; deliver the list again",
            )
            return
        emit("generation", target=target, identities=len(self._loaded.identities))
        for listener in self._listeners:
            listener()

    async def follow(self) -> None:
        """Polls for ever."""
        while True:
            await self.poll()
            await asyncio.sleep(POLL_SECONDS)
