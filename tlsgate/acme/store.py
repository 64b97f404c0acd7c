"""One certificate on its volume: generations, and the symlink that says which one is served.

    <certificate>/current -> generations/<id>     what the servers read
                  next    -> generations/<id>     what is being made; gone when it is served
                  generations/<id>/key.pem fullchain.pem meta.json

A generation is made beside the served one: first its key, then the chain, meta.json last. Only a
whole one can become current, by replacing one symlink. So a crash at any moment leaves the old
generation served; what it left half done is removed, what it left whole is taken up.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tlsgate.acme.keys import Key, load_key, to_pem
from tlsgate.generation.files import link_target, point, sync_directory, write

KEPT_GENERATIONS = 5
KEY, CHAIN, META = "key.pem", "fullchain.pem", "meta.json"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Meta:
    """What the certificate itself does not say: the CA's directory and the profile asked for."""

    directory: str
    profile: str | None


@dataclass(frozen=True, slots=True)
class Generation:
    """A whole generation. The key is read only when it is needed."""

    path: Path
    chain: bytes
    meta: Meta

    @property
    def id(self) -> str:
        """Its time of birth and a random part: later ones sort last."""
        return self.path.name

    def key(self) -> Key:
        """Raises KeyFault."""
        return load_key(self.path / KEY)


class Store:
    """The directory of one certificate; made when the first generation begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._current = path / "current"
        self._next = path / "next"
        self._generations = path / "generations"

    def current(self) -> Generation | None:
        """The generation that is served; None if there is none, or none that can be read."""
        return self._whole(self._current)

    def staged(self) -> Generation | None:
        """A whole generation that is not served yet."""
        if link_target(self._next) == link_target(self._current):
            return None
        return self._whole(self._next)

    def begin(self, key: Key, now: datetime) -> Path:
        """Starts a generation with its key; returns its directory."""
        self.discard()
        self._generations.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        # Named before it is made: whatever a crash leaves is found again.
        point(self._next, Path("generations") / name)
        directory = self._generations / name
        directory.mkdir(mode=0o700)
        write(directory / KEY, to_pem(key), mode=_PRIVATE)
        sync_directory(self._generations)
        return directory

    def complete(self, chain: bytes, meta: Meta) -> Generation:
        """Adds the chain to the generation that was begun; meta.json makes it whole."""
        directory = self._next.resolve(strict=True)
        write(directory / CHAIN, chain, mode=_PRIVATE)
        write(directory / META, (json.dumps(asdict(meta)) + "\n").encode(), mode=_PRIVATE)
        return Generation(directory, chain, meta)

    def switch(self, staged: Generation) -> None:
        """Makes the staged generation the served one and forgets the oldest ones."""
        point(self._current, Path("generations") / staged.id)
        self._next.unlink(missing_ok=True)
        self.tidy()

    def discard(self) -> None:
        """Removes what is staged, whole or not."""
        name = link_target(self._next)
        if name is None:
            return
        if name != link_target(self._current):
            shutil.rmtree(self._generations / name, ignore_errors=True)
        self._next.unlink()

    def tidy(self) -> None:
        """Keeps the served generation, what is staged, and a few of the past."""
        if not self._generations.is_dir():
            return
        kept = {link_target(self._current), link_target(self._next)}
        old = sorted(path for path in self._generations.iterdir() if path.name not in kept)
        whole = [path for path in old if (path / META).exists()]
        past = set(whole[-(KEPT_GENERATIONS - 1) :])
        for path in old:
            if path not in past:
                shutil.rmtree(path, ignore_errors=True)

    def _whole(self, link: Path) -> Generation | None:
        name = link_target(link)
        if name is None:
            return None
        directory = self._generations / name
        try:
            chain = (directory / CHAIN).read_bytes()
            meta = json.loads((directory / META).read_bytes())
            return Generation(directory, chain, Meta(meta["directory"], meta["profile"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
