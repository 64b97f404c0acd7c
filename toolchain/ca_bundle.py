"""The machine's own bundle of roots, for images built behind a proxy which signs by itself.

Where a variable names a bundle, pip inside an image build needs it too. It is copied to a file that
git ignores; images use it while they are built and keep no trace of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain.context import Context
from toolchain.progress import Done

VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
COPY: Final = "images/extra-ca.crt"


def named_bundle(environment: Mapping[str, str]) -> tuple[str, Path] | None:
    """Return the first variable that names a file, and the file."""
    for variable in VARIABLES:
        value = environment.get(variable)
        if value and Path(value).is_file():
            return variable, Path(value)
    return None


def ca_bundle(context: Context) -> tuple[str | None, Done]:
    """Copy the bundle, or delete an old copy; return the copy's path in the repository."""
    target = context.repository / COPY
    named = named_bundle(context.environment)
    if named is None:
        changed = target.exists()
        target.unlink(missing_ok=True)
        return None, Done("no extra CA bundle for image builds", "no variable names one", changed)
    variable, source = named
    content = source.read_bytes()
    changed = not target.exists() or target.read_bytes() != content
    if changed:
        new = target.with_name(f".{target.name}.new")
        new.write_bytes(content)
        new.rename(target)
    return COPY, Done("CA bundle for image builds", f"{variable}={source}", changed)
