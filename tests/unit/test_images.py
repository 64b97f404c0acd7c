"""The images contain everything that their programs import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREFIX = "/opt/tlsgate/"


@pytest.mark.parametrize(
    ("image", "package"),
    [
        ("agent", "acme"),
        ("agent", "mta_sts"),
        ("notices", "notices"),
        ("policy", "policy"),
        ("policy-host", "generation"),
        ("postfix", "generation"),
    ],
)
def test_what_the_dockerfile_copies_is_enough(tmp_path: Path, image: str, package: str) -> None:
    text = (ROOT / f"images/{image}/Dockerfile").read_text().replace("\\\n", " ")
    copies = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
    for *sources, target in copies:
        if not target.startswith(PREFIX):  # another folder of the image, or another stage's files
            continue
        for source in sources:
            place = tmp_path / target.removeprefix(PREFIX)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("*.pyc"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    # From Debian, and in the image only.
    (tmp_path / "Milter.py").write_text("class Base: ...")
    modules = [
        ".".join(path.relative_to(tmp_path).with_suffix("").parts)
        for path in (tmp_path / "tlsgate" / package).rglob("*.py")
        if path.stem != "__init__"
    ]
    assert modules
    script = (
        f"import importlib, sys, tlsgate; [importlib.import_module(m) for m in {modules}]; "
        "print(tlsgate.__file__, 'msgspec' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
    # The images of Postfix and nginx stay without it.
    installed = image == "agent" or "python3-msgspec" in text
    assert done.stdout.split()[-1] == str(installed and package != "mta_sts")
