"""The Python environment in .venv, exactly as uv.lock says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from toolchain import versions
from toolchain.commands import answer, run_logged
from toolchain.context import Context
from toolchain.debian import install
from toolchain.errors import SetupError
from toolchain.progress import Done

_UV_REQUIREMENT: Final = Path(__file__).parent / "uv.txt"
_UV_OLDEST: Final = versions.Version(0, 9, 0)  # reads this uv.lock's revision


def find_or_install_uv(context: Context) -> tuple[Path, str]:
    """Return uv and where it is from: PATH, or PyPI by pip into the tool cache."""
    own = context.which("uv")
    if own:
        version = versions.parse(answer([str(own), "--version"], context.environment) or "")
        if version and version >= _UV_OLDEST:
            return own, f"uv {version} on PATH"
    key = f"uv-{versions.UV}"

    def make(folder: Path) -> None:
        context.progress.doing(f"uv {versions.UV} from PyPI")
        _virtual_environment(context, folder / "env")
        run_logged(
            [str(folder / "env/bin/python"), "-m", "pip", "install", "--require-hashes", "-r",
             str(_UV_REQUIREMENT)],
            log=context.log("uv"),
            progress=context.progress,
            environment=context.environment,
            remedy="make PyPI reachable for pip (PIP_INDEX_URL, PIP_CERT), or install uv by hand",
        )  # fmt: skip
        (folder / "env/bin/uv").rename(folder / "uv")  # one static program: it needs no more

    context.cache.provide(key, make)
    return context.cache.path(key) / "uv", f"uv {versions.UV} from PyPI"


def _virtual_environment(context: Context, folder: Path) -> None:
    # Debian splits ensurepip off into python3-venv.
    if answer([sys.executable, "-c", "import ensurepip"], context.environment) is None:
        if not context.machine.installs:
            raise SetupError(
                f"{sys.executable} cannot make virtual environments (no module ensurepip)",
                "install python3-venv (Debian: sudo apt-get install python3-venv), or uv",
            )
        install(context, ["python3-venv"], "the Python environment")
    run_logged(
        [sys.executable, "-m", "venv", str(folder)],
        log=context.log("uv"),
        progress=context.progress,
        environment=context.environment,
        remedy="install uv by hand, then run set-up again",
    )


def python_environment(context: Context) -> tuple[Path, Done]:
    """Bring .venv to what uv.lock says, which takes a moment when it is; return uv.

    Pulumi's own language host wants uv on PATH too (Pulumi.yaml: toolchain).
    """
    uv, source = find_or_install_uv(context)
    python = context.repository / ".venv/bin/python"
    fresh = not python.exists()
    if fresh:
        context.progress.doing("Python packages as uv.lock says")
    sync(context, uv, context.repository / ".venv", Path(sys.executable) if fresh else None)
    version = answer([str(python), "--version"], context.environment) or "Python"
    return uv, Done(f"{version} environment in .venv", source, changed=fresh)


def sync(context: Context, uv: Path, folder: Path, interpreter: Path | None = None) -> None:
    """Bring an environment to what uv.lock says; create it again if an interpreter is given."""
    environment = {
        **context.environment,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(folder),
    }
    environment.pop("VIRTUAL_ENV", None)
    command = [str(uv), "sync", "--frozen", "--project", str(context.repository)]
    if interpreter:
        command += ["--python", str(interpreter)]
    run_logged(
        command,
        log=context.log("python"),
        progress=context.progress,
        environment=environment,
        remedy="make PyPI reachable (behind a proxy: HTTPS_PROXY, SSL_CERT_FILE), then run again",
        cwd=context.repository,
    )
