"""One certificate on its volume: generations, and the symlink that says which one is served.

    <certificate>/current -> generations/<id>     what the servers read
                  next    -> generations/<id>     what is being made; gone when it is served
                  before  -> generations/<id>     what was served, until the switch is confirmed
                  next-key.pem                    the key that a roll-over changes to
                  generations/<id>/key.pem fullchain.pem meta.json

A generation is made beside the served one: first its key, then the chain, meta.json last. Only a
whole one can become current, by replacing one symlink. So a crash at any moment leaves a whole
generation served; what it left half done is removed, what it left whole is taken up, and a switch
that was not confirmed is confirmed or undone.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tlsgate.acme.certificate import Meta
from tlsgate.acme.keys import Key, KeyFault, load_key, new_key, spki_sha256, to_pem
from tlsgate.files import link_target, point, sync_directory, write
from tlsgate.state import StateFile

KEPT_GENERATIONS = 5
KEY, CHAIN, META = "key.pem", "fullchain.pem", "meta.json"
_PRIVATE = 0o600
_BIRTH = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class CertificateGeneration:
    """A whole generation. The key is read only when it is needed."""

    path: Path
    chain: bytes
    meta: Meta

    @property
    def id(self) -> str:
        """The time it was begun and a random part: later ones sort last."""
        return self.path.name

    @property
    def key_made(self) -> datetime:
        """When its key was made (UTC); if that is unknown, when the generation was begun."""
        if self.meta.key_made is not None:
            return self.meta.key_made
        return datetime.strptime(self.id.partition("-")[0], _BIRTH).replace(tzinfo=UTC)

    def key(self) -> Key:
        """Raises KeyFault, OSError."""
        return load_key(self.path / KEY)


class CertificateStore:
    """The directory of one certificate; it is made with the first generation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._current = path / "current"
        self._next = path / "next"
        self._before = path / "before"
        self._next_key = path / "next-key.pem"
        self._generations = path / "generations"

    def current(self) -> CertificateGeneration | None:
        """The generation that is served; None if there is none that is whole. Raises OSError."""
        return self._whole(link_target(self._current))

    def staged(self) -> CertificateGeneration | None:
        """A whole generation that is not served yet."""
        name = link_target(self._next)
        return None if name == link_target(self._current) else self._whole(name)

    def unconfirmed(self) -> CertificateGeneration | None:
        """What was served before a switch that is not confirmed or undone yet."""
        name = link_target(self._before)
        return None if name == link_target(self._current) else self._whole(name)

    def past(self) -> Iterator[CertificateGeneration]:
        """The whole generations that are not served, the latest first."""
        served = {link_target(self._current), link_target(self._next)}
        for name in sorted(self._names() - served, reverse=True):
            generation = self._whole(name)
            if generation is not None:
                yield generation

    def begin(self, key: Key, now: datetime) -> Path:
        """Starts a generation with its key; returns its directory."""
        self.discard()
        self._generations.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{now.strftime(_BIRTH)}-{secrets.token_hex(4)}"
        # The link comes first, so that whatever a crash leaves is found again.
        point(self._next, Path("generations") / name)
        directory = self._generations / name
        directory.mkdir(mode=0o700)
        write(directory / KEY, to_pem(key), mode=_PRIVATE)
        sync_directory(self._generations)
        return directory

    def complete(self, chain: bytes, meta: Meta) -> CertificateGeneration:
        """Adds the chain to the generation that was begun; meta.json makes it whole."""
        directory = self._next.resolve(strict=True)
        write(directory / CHAIN, chain, mode=_PRIVATE)
        _meta(directory).write(meta)
        return CertificateGeneration(directory, chain, meta)

    def make_current(self, generation: CertificateGeneration) -> None:
        """Makes it the served one; the previous one is kept until `confirm` or `revert`."""
        served = link_target(self._current)
        if self.current() is not None and served != generation.id:
            point(self._before, Path("generations") / str(served))
        point(self._current, Path("generations") / generation.id)
        if link_target(self._next) == generation.id:
            self._next.unlink()
        self.prune()

    def confirm(self) -> None:
        """The switch succeeded: forgets the previous generation, and deletes the oldest ones."""
        self._before.unlink(missing_ok=True)
        self.prune()

    def revert(self) -> None:
        """Undoes a switch that is not confirmed: serves the previous one, stages the other one."""
        before = self.unconfirmed()
        if before is not None:
            point(self._next, Path("generations") / str(link_target(self._current)))
            point(self._current, Path("generations") / before.id)
        self._before.unlink(missing_ok=True)

    def discard(self) -> None:
        """Deletes what is staged, whole or not."""
        name = link_target(self._next)
        if name is None:
            return
        if name != link_target(self._current):
            shutil.rmtree(self._generations / name, ignore_errors=True)
        self._next.unlink()

    def forget(self, generation: CertificateGeneration) -> None:
        """Deletes a previous generation with its key."""
        if generation.id not in self._named():
            shutil.rmtree(generation.path, ignore_errors=True)

    def prune(self) -> None:
        """Keeps the served generation, what is staged or unconfirmed, and a few previous ones."""
        kept = self._named()
        old = sorted(self._names() - kept)
        whole = [name for name in old if (self._generations / name / META).exists()]
        past = set(whole[-(KEPT_GENERATIONS - 1) :])
        for name in old:
            if name not in past:
                shutil.rmtree(self._generations / name, ignore_errors=True)

    def unfinished_key(self) -> Key | None:
        """The key of a generation that was begun and has no chain yet. Raises OSError."""
        name = link_target(self._next)
        try:
            return load_key(self._generations / name / KEY) if name else None
        except KeyFault:
            return None

    def key_made(self, key: Key) -> datetime | None:
        """When the served key was made, if it is this one (UTC). Raises OSError."""
        current, wanted = self.current(), spki_sha256(key.public_key())
        try:
            same = current is not None and spki_sha256(current.key().public_key()) == wanted
        except KeyFault:
            return None
        return current.key_made if current is not None and same else None

    def next_key(self) -> Key | None:
        """The key that a roll-over made; None if there is none or it is damaged. Raises OSError."""
        try:
            return load_key(self._next_key)
        except KeyFault:
            return None

    def make_next_key(self) -> Key:
        """The same; a new one if there is none. A key that cannot be read is never overwritten."""
        key = self.next_key()
        if key is None:
            key = new_key()
            write(self._next_key, to_pem(key), mode=_PRIVATE)
        return key

    def drop_next_key(self) -> None:
        """Deletes it: it is served now, or never will be."""
        self._next_key.unlink(missing_ok=True)

    def _named(self) -> set[str | None]:
        return {link_target(link) for link in (self._current, self._next, self._before)}

    def _names(self) -> set[str]:
        if not self._generations.is_dir():
            return set()
        return {path.name for path in self._generations.iterdir()}

    def _whole(self, name: str | None) -> CertificateGeneration | None:
        if name is None:
            return None
        directory = self._generations / name
        meta = _meta(directory).load()
        if meta is None:
            return None
        try:
            return CertificateGeneration(directory, (directory / CHAIN).read_bytes(), meta)
        except FileNotFoundError:
            return None


def _meta(directory: Path) -> StateFile[Meta]:
    """meta.json, which is written once, last of all."""
    loss = "Its generation is not used any more; a served one is replaced by a new certificate."
    return StateFile(directory / META, Meta, loss=loss, mode=_PRIVATE)
