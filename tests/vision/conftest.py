"""What vision's tests share: one small network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vision.networks import save_network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in timm's layout: seven labels, 64 × 64 pixels."""
    return save_network(tmp_path_factory.mktemp("network") / "test_efficientnet")
