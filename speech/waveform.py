"""A recording as matplotlib draws it, its words where they are said; no pyplot, so that it runs on any thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLUMNS = 800  # of the drawing: the samples of each are one stroke, from the least to the greatest


def draw_waveform(samples: NDArray[np.float32], rate: int, words: Sequence[Mapping[str, Any]]) -> Figure:
    """The waveform over seconds, and above it each word between its start and its end; the paler, the less sure."""
    figure = Figure(figsize=(8, 2))
    axes = figure.subplots()
    size = max(1, len(samples) // COLUMNS)
    rows = samples[: len(samples) // size * size].reshape(-1, size)
    times = np.arange(len(rows)) * size / rate
    axes.fill_between(times, rows.min(axis=1), rows.max(axis=1), linewidth=0.4, color="C0")
    loudest = max(1e-3, float(np.abs(samples).max(initial=0.0)))
    for number, word in enumerate(words):
        height = loudest * (1.2 + 0.3 * (number % 2))
        strength = 0.3 + 0.7 * float(word["confidence"])
        axes.text((word["start"] + word["end"]) / 2, height, word["word"], ha="center", fontsize=8, alpha=strength)
        axes.axvline(word["start"], ymax=0.78, color="C1", linewidth=0.6, alpha=0.7)
    axes.set(xlim=(0, len(samples) / rate), ylim=(-1.1 * loudest, 1.8 * loudest), xlabel="seconds", yticks=[])
    return figure
