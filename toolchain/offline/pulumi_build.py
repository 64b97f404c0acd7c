"""The Pulumi CLI and its Python language host, built where the vendor is unreachable."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from toolchain import go_tools, versions
from toolchain.commands import answer
from toolchain.context import Context
from toolchain.errors import SetupError
from toolchain.versions import PULUMI_MINIMUM

HOST: Final = "pulumi-language-python"
_GO: Final = Path(__file__).parent / "go"
_DYNAMIC: Final = "pulumi-resource-pulumi-python"
_PACKAGE: Final = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_SDK: Final = "github.com/pulumi/pulumi/sdk/v3"
_VERSION_VARIABLE: Final = f"{_SDK}/go/common/version.Version"


def pulumi_environment(context: Context) -> dict[str, str]:
    """Return the environment for running a Pulumi CLI: with the clone's own Pulumi home."""
    return {
        **context.environment,
        "PULUMI_HOME": str(context.state / "pulumi-home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def build_cli(context: Context, folder: Path) -> None:
    """Build version PULUMI_MINIMUM with all that it runs beside it into `folder`.

    Raise SetupError with the end of the log where a build fails.
    """
    go = go_tools.find_or_fetch_go(context)
    go_tools.build(context, go, _GO / "language-host", f"{_SDK}/python/cmd/{HOST}", folder / HOST)
    go_tools.copy_from_module(
        context, go, _GO / "language-host", _SDK,
        {"python/dist/pulumi-analyzer-policy-python": folder / "pulumi-analyzer-policy-python"},
    )  # fmt: skip
    go_tools.build(
        context, go, _GO / "pulumi", _PACKAGE, folder / "pulumi",
        ldflags=f"-s -w -X {_VERSION_VARIABLE}=v{PULUMI_MINIMUM}",
        note=", 2 to 6 min the first time",
    )  # fmt: skip
    go_tools.copy_from_module(
        context, go, _GO / "pulumi", _SDK,
        {
            f"python/cmd/{HOST}-exec": folder / f"{HOST}-exec",
            f"python/dist/{_DYNAMIC}": folder / _DYNAMIC,
        },
    )  # fmt: skip
    said = answer([str(folder / "pulumi"), "version"], pulumi_environment(context))
    if versions.parse(said or "") != PULUMI_MINIMUM:
        raise SetupError(
            f"the Pulumi CLI that was built says {said!r} instead of v{PULUMI_MINIMUM}",
            "run set-up again",
        )
