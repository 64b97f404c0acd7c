"""What the helper keeps on its small volume: whole files, old or new, never half of one."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(file: Path, text: str) -> None:
    """Puts a text of ASCII on the disk in the place of the file. Raises OSError."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="ascii") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
