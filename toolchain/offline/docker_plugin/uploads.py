"""Files that are put into a container before it starts, as a tar archive. Pure but for `source`."""

from __future__ import annotations

import base64
import binascii
import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from toolchain.offline.docker_plugin.failures import PluginError
from toolchain.offline.docker_plugin.properties import Failure
from toolchain.offline.docker_plugin.values import Unknown

_KINDS: Final = ("content", "contentBase64", "source")


def check_uploads(uploads: Any) -> list[Failure]:
    """Return what is wrong with the uploads beyond the shape of their properties."""
    failures: list[Failure] = []
    if not isinstance(uploads, list):
        return failures
    for index, upload in enumerate(uploads):
        if not isinstance(upload, Mapping):
            continue
        where = f"uploads[{index}]"
        given = [kind for kind in _KINDS if upload.get(kind)]
        if len(given) != 1:
            failures.append(
                Failure(
                    where,
                    f"Container property '{where}' must have exactly one of content, "
                    f"contentBase64 and source, not empty; it has {', '.join(given) or 'none'}",
                )
            )
        encoded = upload.get("contentBase64")
        if isinstance(encoded, str) and not _is_base64(encoded):
            failures.append(
                Failure(
                    f"{where}.contentBase64",
                    f"Container property '{where}.contentBase64' is not base64",
                )
            )
    return failures


def archive(uploads: Sequence[Mapping[str, Any]], *, now: float | None = None) -> bytes:
    """Return a tar archive of `uploads`, to be unpacked at the container's `/`.

    `now` is the files' modification time in seconds since the epoch. Raises PluginError where a
    `source` cannot be read.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for upload in uploads:
            data = _data(upload)
            member = tarfile.TarInfo(str(upload["file"]).lstrip("/"))
            member.size = len(data)
            member.mode = _mode(upload)
            member.uid = int(upload.get("owner") or 0)
            member.gid = int(upload.get("group") or 0)
            member.mtime = int(time.time() if now is None else now)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _mode(upload: Mapping[str, Any]) -> int:
    if permissions := upload.get("permissions"):
        return int(permissions, 8)
    return 0o744 if upload.get("executable") else 0o644


def _data(upload: Mapping[str, Any]) -> bytes:
    if encoded := upload.get("contentBase64"):
        return base64.b64decode(encoded)
    if source := upload.get("source"):
        try:
            return Path(source).expanduser().read_bytes()
        except OSError as error:
            raise PluginError(f"upload {source}: {error.strerror}") from error
    return str(upload["content"]).encode()


def _is_base64(text: str | Unknown) -> bool:
    try:
        base64.b64decode(str(text), validate=True)
    except binascii.Error:
        return False
    return True
