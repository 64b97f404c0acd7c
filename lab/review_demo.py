"""Two changes of the partner list as a reviewer sees them, and an `up` that is refused.

The changes are made in copies of the lab's list; nothing is deployed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lab import files
from lab.commands import GATEWAY, LabError, pulumi
from tlsgate.partners.diff import diff_lists
from tlsgate.partners.load import load_partners
from tlsgate.review.report import make_report, to_markdown

LIST = files.LAB / "partners"
CONFIG = files.REPOSITORY / "Pulumi.demo.yaml"
REFUSAL = "this change removes or weakens"
NEW = """\
name: Acme Motors AG
contact: postmaster@hosted-free.example
agreed: 2026-11-02
review: 2027-11-02
mode: observe
domains: [hosted-free.example]
outbound:
  mx: [mx.provider.example]
"""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The reports in Markdown, and Pulumi's reason for refusing the second change."""

    good: str
    bad: str
    refusal: str

    def __str__(self) -> str:
        parts = {
            "A good change, in its pull request": self.good,
            "A bad change, in its pull request": self.bad,
            "The bad change at `pulumi up`": self.refusal,
        }
        return "\n".join(f"== {title}\n\n{text}" for title, text in parts.items())


def review_changes() -> Reviewed:
    """Make both changes and report them. Raises LabError if the bad one would be deployed."""
    with TemporaryDirectory() as name:
        good = _changed(Path(name, "good"), _improve)
        bad = _changed(Path(name, "bad"), _spoil)
        return Reviewed(_report(good), _report(bad), _refusal(bad, Path(name, "Pulumi.demo.yaml")))


def _improve(partners: Path) -> None:
    """Add a partner, and require a client key where TLS alone was enough."""
    (partners / "acme-motors.yaml").write_text(NEW)
    pinned = (partners / "pinned.yaml").read_text()
    inbound = pinned.partition("inbound:")[2]
    good = partners / "good.yaml"
    good.write_text(good.read_text().partition("inbound:")[0] + "inbound:" + inbound)


def _spoil(partners: Path) -> None:
    """Remove a partner, and no longer require another one's client key."""
    (partners / "good.yaml").unlink()
    pinned = partners / "pinned.yaml"
    pinned.write_text(pinned.read_text().partition("inbound:")[0])


def _changed(folder: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(LIST, folder)
    change(folder)
    return folder


def _report(folder: Path) -> str:
    before, after = load_partners(LIST), load_partners(folder)
    report = make_report(diff_lists(before, after), (len(before), len(after)))
    return to_markdown(report)


def _refusal(folder: Path, config: Path) -> str:
    """The refusal that `pulumi preview` prints for the demo's stack with this list."""
    text, count = re.subn(
        r"(?m)^(\s*tlsgate:partners:) .*$", rf"\1 {folder}", CONFIG.read_text("utf-8")
    )
    if count != 1:
        raise LabError(f"{CONFIG} does not name the partner list once")
    config.write_text(text, "utf-8")
    try:
        said = pulumi(GATEWAY, "preview", "--stack", GATEWAY.name, "--config-file", str(config))
    except LabError as refused:
        # Pulumi prints it twice: shortened on a progress line, and whole at the end.
        told = re.search(rf".*({REFUSAL}.*?no other\.)", str(refused), re.DOTALL)
        if told is None:
            raise
        return "".join(f"{line.strip()}\n" for line in told[1].splitlines())
    raise LabError(f"a change that weakens the list was not refused:\n{said}")
