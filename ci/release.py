"""Makes the files of a release: wheel, source, bill of materials, checksums and notes.

`python ci/release.py FOLDER [--tag vX.Y.Z]`, with the packages of .venv and with uv on PATH.

The version is that of pyproject.toml, so a wheel from a clone without tags has it too. With a tag,
the tag must name that version, and CHANGELOG.md must have a section of it, which becomes the notes.
Without one, for a rehearsal, the notes are those of `Unreleased` if the version has no section.

The wheel is built from the source archive, so that whoever has only the archive can build it.
The bill of materials (CycloneDX 1.5) lists what uv.lock has of the run-time dependencies and of all
extras, with hashes.
Nothing is published here: .github/workflows/release.yml does that with what is in FOLDER.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_HEADING: Final = re.compile(
    r"^## (?P<name>\S+)(?: - (?P<day>\d{4}-\d{2}-\d{2}))?\s*$", re.MULTILINE
)
SBOM: Final = "tlsgate-{version}.cdx.json"
NOTES: Final = "release-notes.md"
CHECKSUMS: Final = "SHA256SUMS"
_OURS: Final = ("*.whl", "*.tar.gz", SBOM.format(version="*"), NOTES, CHECKSUMS)


class ReleaseError(Exception):
    """What keeps this version from being released, with what to do about it."""


def check_tag(tag: str, version: str) -> None:
    """Raise `ReleaseError` unless the tag is `v` and the version of pyproject.toml."""
    if tag != f"v{version}":
        raise ReleaseError(
            f"the tag is {tag}, but pyproject.toml says version {version}: "
            f"set the version, commit it, and tag that commit"
        )


def notes(changelog: str, version: str, *, rehearsal: bool) -> str:
    """Return the text below the version's heading; a rehearsal takes `Unreleased` instead.

    Raise `ReleaseError` if there is no such section, or nothing in it, or its day is missing.
    """
    headings = list(_HEADING.finditer(changelog))
    named = {heading["name"]: number for number, heading in enumerate(headings)}
    name = "Unreleased" if rehearsal and version not in named else version
    if name not in named:
        raise ReleaseError(f"CHANGELOG.md has no section `## {version} - YYYY-MM-DD`: write it")
    heading = headings[named[name]]
    if name == version and not heading["day"]:
        raise ReleaseError(
            f"CHANGELOG.md: the section {version} has no day: `## {version} - YYYY-MM-DD`"
        )
    following = headings[named[name] + 1 :]
    text = changelog[heading.end() : following[0].start() if following else None].strip()
    if not text:
        raise ReleaseError(f"CHANGELOG.md: the section {name} is empty: say what changed")
    return f"{text}\n"


def wheel_version(wheel: Path) -> str:
    """Return the version in a wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        return str(email.message_from_bytes(archive.read(name))["Version"])


def check_sbom(text: str, version: str) -> int:
    """Return the number of components; raise `ReleaseError` for an invalid bill of materials."""
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415  # the release group's
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error is not None:
        what = str(error).partition("\n")[0]
        raise ReleaseError(f"the bill of materials does not match CycloneDX 1.5: {what}")
    found = json.loads(text)
    about = found["metadata"]["component"]
    if (about["name"], about["version"]) != ("tlsgate", version):
        raise ReleaseError(f"the bill of materials is of {about['name']} {about['version']}")
    return len(found["components"])


def empty(folder: Path) -> None:
    """Make the folder, or delete an earlier release in it; raise `ReleaseError` for other files."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _OURS:
        for path in folder.glob(pattern):
            path.unlink()
    if any(folder.iterdir()):
        raise ReleaseError(f"{folder} holds other files: name a folder for the release alone")


def _run(command: Sequence[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise ReleaseError(f"`{' '.join(map(str, command))}` failed: see above")
    return done.stdout


def find_uv() -> str:
    """Return the path of uv, or raise `ReleaseError`."""
    uv = shutil.which("uv")
    if uv is None:
        raise ReleaseError("uv is not on PATH: run `make setup` first, or install uv")
    return uv


def build(uv: str, folder: Path, version: str) -> None:
    """Build source, wheel and bill of materials into the folder.

    The locked hatchling builds, with the day of the commit: the same commit gives the same bytes.
    """
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": _run(["git", "log", "-1", "--format=%ct"], dict(os.environ)).strip(),
    }
    _run(
        [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir",
         folder, "--no-create-gitignore"],
        environment,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    built = wheel_version(wheel)
    if built != version:
        raise ReleaseError(f"{wheel.name} says version {built}, pyproject.toml {version}")
    sbom = _run(
        [uv, "export", "--quiet", "--frozen", "--preview-features", "sbom-export", "--format",
         "cyclonedx1.5", "--no-default-groups", "--all-extras"],
        environment,
    )  # fmt: skip
    check_sbom(sbom, version)
    (folder / SBOM.format(version=version)).write_text(sbom, "utf-8")


def checksums(folder: Path) -> str:
    """Return a line for each file, as sha256sum(1) writes and checks them."""
    files = sorted(path for path in folder.iterdir() if path.name not in {CHECKSUMS, NOTES})
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="ci/release.py", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, help="where the files go; files of an earlier run are replaced"
    )
    parser.add_argument(
        "--tag", default="", help="the tag of the release; it must name the version"
    )
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    try:
        if given.tag:
            check_tag(given.tag, version)
        changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
        text = notes(changelog, version, rehearsal=not given.tag)
        uv = find_uv()
        empty(folder)
        build(uv, folder.resolve(), version)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    (folder / NOTES).write_text(text, "utf-8")
    (folder / CHECKSUMS).write_text(checksums(folder), "utf-8")
    print((folder / CHECKSUMS).read_text("utf-8"), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
