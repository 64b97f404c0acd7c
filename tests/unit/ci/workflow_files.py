"""The forges' files, read as the tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def workflow(path: Path) -> Any:
    """As YAML 1.2 reads it: `on` is a word."""
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # noqa: S506  # texts only


def steps(document: Any) -> Iterator[dict[str, Any]]:
    """Of all jobs; one that calls another workflow of this repository has none."""
    for job in document["jobs"].values():
        if "uses" in job:
            assert job["uses"].startswith("./.github/workflows/")
            assert (ROOT / job["uses"]).is_file()
        else:
            yield from job["steps"]
