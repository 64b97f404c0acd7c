"""What all unit tests share: no network, and nothing slow of the machine.

A test opens no socket. Where a test is about a protocol, it serves on this machine and is marked
`serves_on_loopback` (tests/support/loopback.py): it may connect there and nowhere else. Unix
sockets are free: asyncio wakes its own loop by a pair of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.acme.acme_pki import Root

UNIT = Path(__file__).parent


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Block sockets in every unit test that is not marked."""
    for item in items:
        if item.path.is_relative_to(UNIT) and item.get_closest_marker("allow_hosts") is None:
            item.add_marker("disable_socket")


def pytest_collection_finish() -> None:
    """Thousands of collected tests stay: the garbage collector need not visit them each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session")
def one_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one root certificate."""
    file = tmp_path_factory.mktemp("roots") / "roots.pem"
    file.write_bytes(Root("the system's root").pem)
    return file


@pytest.fixture(scope="module", autouse=True)
def quick_machine(one_root: Path) -> Iterator[None]:
    """The system trusts one root, and nobody waits for the disk: both only cost time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one_root))
        patch.setattr("os.fsync", lambda _descriptor: None)
        yield
