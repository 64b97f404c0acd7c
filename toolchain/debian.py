"""Debian packages, named before they are installed; only as root."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.commands import run_logged
from toolchain.context import Context


def install(context: Context, packages: Sequence[str], reason: str) -> None:
    """Install packages without those that they recommend. Raise SetupError with apt's log."""
    names = " ".join(packages)
    context.progress.say(f"...     Debian packages are going to be installed for {reason}: {names}")
    environment = {**context.environment, "DEBIAN_FRONTEND": "noninteractive"}
    # A lock that another apt holds is waited for; a fresh machine has no package lists yet.
    base = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    steps = (
        # Finishes what an interrupted run left half installed.
        ("dpkg --configure --pending", ["dpkg", "--configure", "--pending"]),
        ("apt-get update", [*base, "update"]),
        (
            f"apt-get install {names}",
            [*base, "install", "-y", "--no-install-recommends", *packages],
        ),
    )
    for title, command in steps:
        if title.startswith("apt"):
            context.progress.doing(title)
        run_logged(
            command,
            log=context.log("apt"),
            progress=context.progress,
            environment=environment,
            remedy=f"install them by hand (apt-get install --no-install-recommends {names}), "
            "then run set-up again",
        )
