"""What the tests on texts share: small checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nlp.checkpoints import save_classifier, save_encoder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier") / "bert")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder") / "bert")
