"""Models that the demo has trained, where the app finds them: no registry ships such weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brightspark.core.artifact import is_artifact
from brightspark.core.cache import cache_root
from brightspark.core.model import ScoringModel


def keep(name: str, model: ScoringModel[Any]) -> None:
    """Saves a model into brightspark's cache; it takes the place of an earlier demo's.

    It is written beside and renamed into place, so that nobody ever finds half a model.
    """
    model.write().overwrite().save(str(_folder(name)))


def find(name: str) -> Path | None:
    """The artifact's folder of a model that was kept under this name, if there is one."""
    folder = _folder(name)
    return folder if is_artifact(folder) else None


def _folder(name: str) -> Path:
    return cache_root() / "demo" / name
