"""The engine for one record at a time, asked by many threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from brightspark.core.predictor import Outcome
from brightspark.core.score import Scorer


class Engine:
    """A scorer that answers one record after another: it is not made to be called by two threads at a time."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._free = threading.Lock()

    def one(self, record: Mapping[str, Any]) -> tuple[Outcome, float]:
        """What became of a record, and the seconds that it took, without those spent waiting for others."""
        with self._free:
            started = time.perf_counter()
            outcome = self._scorer.one(record)
            return outcome, time.perf_counter() - started
