"""The part of the gateway's generation that the policy helper reads, and when it is read again.

`current` is a symlink that the delivery of a partner list switches: a new target is a new
generation. If it cannot be read, the previous one stays in force, and an alert is logged.

A question about rules that are not known makes the helper look at once: Postfix may have loaded a
generation before the helper did. The last few are kept, because Postfix's processes finish what
they began under the previous generation.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlsgate.certificates.trust import trust_store
from tlsgate.events import emit
from tlsgate.policy.contract import EXTRA_CA, RULES
from tlsgate.policy.rules import Evidence, Rules, load_rules

POLL_SECONDS = 1.0
HELD_RULES = 3

_HOST_NAME = re.compile(r"^myhostname = ([a-z0-9.-]+)$", re.M)


@dataclass(frozen=True, slots=True)
class LoadedGeneration:
    """A generation in force. `extra_ca`: PEM, "" for none. `host_name`: the gateway's, or ""."""

    directory: Path
    rules: Rules
    extra_ca: str
    trust: ssl.SSLContext
    host_name: str

    def anchors(self, name: str) -> str:
        """The PEM of a private CA's file. Raises OSError."""
        return (self.directory / Path(name).name).read_text("ascii")


def load(current: Path) -> LoadedGeneration:
    """Reads the generation that `current` points to. Raises OSError, ValueError.

    Every file is read by the generation's own path, so that a switch meanwhile cannot mix two.
    """
    directory = current.parent / current.readlink()
    rules = load_rules((directory / RULES).read_bytes())
    extra = directory / EXTRA_CA
    certificates = extra.read_text("ascii") if extra.exists() else ""
    main = directory / "main.cf"
    host_name = _HOST_NAME.search(main.read_text("utf-8")) if main.exists() else None
    trust = trust_store(certificates)
    return LoadedGeneration(
        directory, rules, certificates, trust, host_name[1] if host_name else ""
    )


class GenerationFollower:
    """Follows `current` and holds what is in force."""

    def __init__(self, current: Path) -> None:
        self._current = current
        self._listeners: list[Callable[[], None]] = []
        self._seen: str | None = None
        self._loaded: LoadedGeneration | None = None
        self._held: OrderedDict[str, Rules] = OrderedDict()
        self._looking = asyncio.Lock()
        self._trust = trust_store()

    def on_change(self, listener: Callable[[], None]) -> None:
        """`listener` is called after each new generation is in force."""
        self._listeners.append(listener)

    @property
    def loaded(self) -> LoadedGeneration | None:
        """What is in force; None before the first delivery."""
        return self._loaded

    def observed(self) -> Mapping[str, Evidence]:
        """The partners that are observed only."""
        return self._loaded.rules.observed if self._loaded else {}

    def null_senders(self) -> Iterable[str]:
        """The domains whose MX hosts' null sender needs TLS."""
        return self._loaded.rules.null_senders if self._loaded else ()

    async def rules(self, digest: str) -> Rules | None:
        """The rules with this digest; None if neither the current generation nor the last have."""
        if digest not in self._held:
            await self.poll()
        return self._held.get(digest)

    def trust(self) -> ssl.SSLContext:
        """The trusted roots for policy hosts."""
        return self._loaded.trust if self._loaded else self._trust

    async def poll(self) -> None:
        """Looks once; a refused generation is read again only when it changes."""
        async with self._looking:
            try:
                target = str(self._current.readlink())
            except OSError:
                return
            if target == self._seen:
                return
            self._seen = target
            try:
                loaded = await asyncio.to_thread(load, self._current)
            except (OSError, ValueError) as fault:
                emit(
                    "alert",
                    what=f"generation {target} refused",
                    reason=str(fault),
                    next="The previous generation stays in force. Run `pulumi up` again.",
                )
                return
            self._take(loaded)
            emit("generation", generation=Path(target).name, rules=loaded.rules.digest)

    def _take(self, loaded: LoadedGeneration) -> None:
        self._loaded = loaded
        self._held[loaded.rules.digest] = loaded.rules
        self._held.move_to_end(loaded.rules.digest)
        while len(self._held) > HELD_RULES:
            self._held.popitem(last=False)
        for listener in self._listeners:
            listener()

    async def follow(self) -> None:
        """Polls for ever."""
        while True:
            await self.poll()
            await asyncio.sleep(POLL_SECONDS)
