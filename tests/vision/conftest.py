"""What vision's tests share: one small network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.vision.networks import save_network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in timm's layout: seven labels, 64 × 64 pixels."""
    return save_network(tmp_path_factory.mktemp("network") / "test_efficientnet")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as these are slower on two threads, and much slower where the machine has other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
