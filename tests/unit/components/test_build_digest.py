"""An image is built again when a file changes that its Dockerfile copies, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlsgate_pulumi.build_context import build_digest

DOCKERFILE = """\
FROM base
RUN true
COPY tlsgate/__init__.py /opt/tlsgate/__init__.py
COPY --chown=10001:10001 tlsgate/policy images/policy/start /opt/
COPY ${EXTRA_CA_FILE} /tmp/extra-ca.crt
COPY --from=build /opt/packages /opt/packages
"""
FILES = {
    "images/policy/Dockerfile": DOCKERFILE,
    "images/policy/start": "#!/bin/sh\n",
    "images/policy/README.md": "about\n",
    "images/other/Dockerfile": "FROM base\n",
    "tlsgate/__init__.py": "",
    "tlsgate/cli.py": "1\n",
    "tlsgate/policy/__init__.py": "",
    "tlsgate/policy/deep/serve.py": "1\n",
    "tlsgate/policy/__pycache__/serve.cpython-311.pyc": "cache",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        "images/policy/Dockerfile",
        "images/policy/start",
        "tlsgate/__init__.py",
        "tlsgate/policy/__init__.py",
        "tlsgate/policy/deep/serve.py",
        "tlsgate/policy/new.py",
    ],
)
def test_a_copied_file_that_changes_builds_again(tree: Path, file: str) -> None:
    before = build_digest(tree, "policy")
    with (tree / file).open("a") as stream:
        stream.write("# changed\n")
    assert build_digest(tree, "policy") != before


@pytest.mark.parametrize(
    "file",
    [
        "images/policy/README.md",
        "images/other/Dockerfile",
        "tlsgate/cli.py",
        "tlsgate/policy/__pycache__/serve.cpython-311.pyc",
        "tlsgate/policy/__pycache__/new.cpython-312.pyc",
        "README.md",
    ],
)
def test_another_file_that_changes_builds_nothing(tree: Path, file: str) -> None:
    before = build_digest(tree, "policy")
    with (tree / file).open("a") as stream:
        stream.write("changed\n")
    assert build_digest(tree, "policy") == before


def test_a_file_that_is_deleted_or_moved_builds_again(tree: Path) -> None:
    before = build_digest(tree, "policy")
    (tree / "tlsgate/policy/deep/serve.py").rename(tree / "tlsgate/policy/serve.py")
    moved = build_digest(tree, "policy")
    (tree / "tlsgate/policy/serve.py").unlink()
    assert len({before, moved, build_digest(tree, "policy")}) == 3


def test_a_clone_elsewhere_has_the_same_digest(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("clone")
    for name in FILES:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((tree / name).read_bytes())
    monkeypatch.chdir(other)
    assert build_digest(Path(), "policy") == build_digest(tree, "policy")


@pytest.mark.parametrize(
    "role", ["postfix", "policy", "policy-host", "resolver", "agent", "notices"]
)
def test_the_real_images_copy_only_what_is_there(role: str) -> None:
    for line in Path("images", role, "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from=" not in line and "${" not in line:
            sources = [word for word in line.split()[1:-1] if not word.startswith("--")]
            assert [source for source in sources if not Path(source).exists()] == []
    assert len(build_digest(Path(), role)) == 64
