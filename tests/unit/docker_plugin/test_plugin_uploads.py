"""Uploads: what is refused, and what the archive holds."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from toolchain.offline.docker_plugin.failures import PluginError
from toolchain.offline.docker_plugin.uploads import archive, check_uploads
from toolchain.offline.docker_plugin.values import UNKNOWN


@pytest.mark.parametrize(
    ("upload", "reason"),
    [
        ({"content": "x"}, None),
        ({"content": UNKNOWN}, None),
        ({"contentBase64": "eA=="}, None),
        ({"contentBase64": "eA"}, "'uploads[0].contentBase64' is not base64"),
        ({"content": ""}, "it has none"),
        ({"content": "x", "source": "/y"}, "it has content, source"),
    ],
)
def test_check(upload: dict[str, Any], reason: str | None) -> None:
    failures = check_uploads([{"file": "/f", **upload}])
    if reason is None:
        assert failures == []
    else:
        assert reason in failures[0].reason


def test_archive(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\x00\x01")
    packed = archive(
        [
            {"file": "/etc/a", "content": "grün"},
            {"file": "/etc/b", "contentBase64": "AAE=", "executable": True},
            {"file": "c", "source": str(source), "permissions": "0600", "owner": "10001"},
        ],
        now=7,
    )
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        seen = [
            (m.name, oct(m.mode), m.uid, m.mtime, tar.extractfile(m).read())  # type: ignore[union-attr]
            for m in tar
        ]
    assert seen == [
        ("etc/a", "0o644", 0, 7, "grün".encode()),
        ("etc/b", "0o744", 0, 7, b"\x00\x01"),
        ("c", "0o600", 10001, 7, b"\x00\x01"),
    ]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"/gone: No such file or directory"):
        archive([{"file": "/a", "source": str(tmp_path / "gone")}])
