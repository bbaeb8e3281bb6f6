"""Small recordings for tests, in every format, sound and damaged."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from numpy.typing import NDArray

from brightspark.core.errors import InputError
from brightspark.core.feed import Room
from brightspark.core.predictor import Work
from brightspark.core.storage import Storage
from brightspark.speech.audio import open_audio
from brightspark.speech.settings import AudioSettings

Samples = NDArray[np.float32]

RATE = 16_000
EXACT = 1e-5  # of samples between -1 and 1
WORK = Work(Storage().open, Room(1 << 29))
FORMATS = [
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
    ("WAV", "ULAW"), ("WAV", "ALAW"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610"),
    ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
    ("CAF", "PCM_16"), ("CAF", "ALAC_16"), ("NIST", "PCM_16"),
]  # fmt: skip


def chirp(seconds: float, rate: int = RATE, *, channels: int = 1, seed: int = 0) -> Samples:
    """Frames × channels of a tone that rises and falls, with noise in every other second: no part is like another."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (300 * time - 40 * np.cos(time)))
    noise = 0.05 * rng.standard_normal((len(time), channels)) * (time % 2 < 1)[:, None]
    return (tone[:, None] * np.linspace(1, 0.5, channels) + noise).astype(np.float32)


def encoded(samples: Samples, rate: int = RATE, format: str = "WAV", subtype: str = "PCM_16", **options: Any) -> bytes:
    """A file's bytes. Written bit by bit: libsndfile's Vorbis encoder dies of many samples at once."""
    frames = samples[:, None] if samples.ndim == 1 else samples
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, frames.shape[1], format=format, subtype=subtype, **options
    ) as sound:  # fmt: skip
        for first in range(0, len(frames), 4096):
            sound.write(frames[first : first + 4096])
    return file.getvalue()


def mp3(samples: Samples, rate: int = RATE, *, mode: str = "VARIABLE") -> bytes:
    return encoded(samples, rate, "MP3", "MPEG_LAYER_III", bitrate_mode=mode, compression_level=0.5)


def without_length(file: bytes) -> bytes:
    """An MP3 without the frame in front that says how long it is, as a live stream is saved."""
    bits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[file[2] >> 4]
    rate = (22050, 24000, 16000)[file[2] >> 2 & 3]
    assert file[1] >> 3 & 3 == 2  # MPEG 2: 16, 22.05 or 24 kHz
    return file[72_000 * bits // rate + (file[2] >> 1 & 1) :]


def claiming(file: bytes, size: int, chunk: bytes = b"data") -> bytes:
    """A WAV whose header says that there are so many bytes of samples."""
    at = file.index(chunk) + 4
    return file[:at] + struct.pack("<I", size) + file[at + 4 :]


def of_unknown_length(flac: bytes) -> bytes:
    """A FLAC as it is written into a pipe: the number of its samples, 36 bits of its header, is 0."""
    number = int.from_bytes(flac[18:26], "big") >> 36 << 36
    return flac[:18] + number.to_bytes(8, "big") + flac[26:]


def heard(
    content: bytes, rate: int = RATE, *, start: float = 0.0, seconds: float | None = None, **settings: Any
) -> Samples:
    """What a model gets of a recording."""
    with open_audio({"content": content}, WORK, AudioSettings(**settings)) as recording:
        return recording.read(rate, start=start, seconds=seconds)


def refusal(content: bytes, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        heard(content, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def plainly(content: bytes, wanted: int = RATE) -> Samples:
    """The same by soundfile and torchaudio alone, whole."""
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
    mono = torch.from_numpy(samples.mean(axis=1))
    return torchaudio.functional.resample(mono, rate, wanted).numpy().astype(np.float32)
