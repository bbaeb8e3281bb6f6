"""Log-mel spectrograms as Whisper hears them, for recordings of any length up to its window. Knows no Spark.

Whisper pads every recording to 30 s of silence before it looks at it. What that silence becomes is known beforehand, so
here it is filled in and not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank

from brightspark.core.errors import InputError
from brightspark.speech.audio import RATE

FFT_SAMPLES = 400
HOP_SAMPLES = 160
FRAMES_PER_SECOND = RATE // HOP_SAMPLES
WINDOW_SAMPLES = 30 * RATE  # Whisper's; what is longer is split before
LEAST_POWER = 1e-10  # what silence counts as
LOUDNESS_RANGE = 8.0  # in powers of ten: what is quieter than the loudest by more counts as that

Samples = NDArray[np.float32]


class Spectrogram(NamedTuple):
    """Log-mel energies as Whisper scales them."""

    frames: torch.Tensor
    """bands × frames"""
    silence: float
    """What silence after the recording is in every band."""


def log_mel(samples: Samples, bands: int) -> Spectrogram:
    """The spectrogram of a recording, each frame 10 ms; as `WhisperFeatureExtractor` gives for 30 s, less its padding.

    From Radford et al. 2022, section 2.2: 25 ms windows, mel bands by Slaney, the loudest 8 powers of ten, scaled to
    about -1 to 1.

    Raises InputError for samples whose squares are no numbers any more.
    """
    # The last frames reach over the end, into silence, or, where the window ends, into what is before it, reflected.
    sound = torch.from_numpy(np.pad(samples, (0, min(FFT_SAMPLES, max(0, WINDOW_SAMPLES - len(samples))))))
    spectrum = torch.stft(
        sound, FFT_SAMPLES, HOP_SAMPLES, window=_window(), pad_mode="reflect", center=True, return_complex=True
    )
    frames = min((len(samples) + FFT_SAMPLES // 2 - 1) // HOP_SAMPLES + 1, WINDOW_SAMPLES // HOP_SAMPLES)
    power = spectrum[:, :frames].abs().square()
    energies = (_filters(bands) @ power).clamp(min=LEAST_POWER).log10()
    if not energies.isfinite().all():
        raise InputError("the recording holds samples too large to be heard")
    least = max(float(energies.max()) - LOUDNESS_RANGE, float(np.log10(LEAST_POWER)))
    return Spectrogram((energies.clamp(min=least) + 4) / 4, (least + 4) / 4)


def padded(spectrograms: Sequence[Spectrogram], frames: int) -> torch.Tensor:
    """Spectrograms as one batch, rows × bands × `frames`, with silence behind each."""
    batch = torch.empty(len(spectrograms), len(spectrograms[0].frames), frames)
    for row, (energies, silence) in zip(batch, spectrograms, strict=True):
        length = min(energies.shape[1], frames)
        row[:, :length] = energies[:, :length]
        row[:, length:] = silence
    return batch


@cache
def _window() -> torch.Tensor:
    return torch.hann_window(FFT_SAMPLES)


@cache
def _filters(bands: int) -> torch.Tensor:
    filters: Any = mel_filter_bank(
        num_frequency_bins=FFT_SAMPLES // 2 + 1,
        num_mel_filters=bands,
        min_frequency=0.0,
        max_frequency=8000.0,
        sampling_rate=RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(filters.T).float()
