"""Words wrong and processor time by what is done about the silence behind short recordings."""

from __future__ import annotations

import time
from typing import Any

import apart

from transcribing.recordings import short

SECONDS_IN_A_BATCH = 160
VARIANTS: dict[str, dict[str, Any]] = {
    "all of it worked out": {"whole": True},
    "left away 8 s behind the end": {"margin": 400, "known": False},
    "left away 4 s behind the end": {"margin": 200, "known": False},
    "known from 4 s behind the end": {"margin": 200},
    "known from 0.5 s behind the end": {},
    "known from 0.2 s behind the end": {"margin": 10},
    "known, one position in 4": {"kept": 4},
    "known, one position in 32": {"kept": 32},
    "known, one position in 64": {"kept": 64},
}


def measure(rounds: int) -> dict[str, Any]:
    """Each variant once: the words are what counts, and processor time hardly moves."""
    print("| the silence | WER | prompts with half of the words wrong | processor s |\n|" + " --- |" * 4)
    found = {}
    for name, settings in VARIANTS.items():
        found[name] = apart.call("transcribing.silence:transcribed", environment={"OMP_NUM_THREADS": "1"}, **settings)
        one = found[name]
        print(f"| {name} | {one['wer']:.2%} | {one['half wrong']} | {one['seconds']:.1f} |", flush=True)
    return {"variants": found}


def transcribed(*, whole: bool = False, margin: int = 25, kept: int = 16, known: bool = True) -> dict[str, Any]:
    """All prompts by one thread, in the processor's precision, and never a second look with the full window."""
    import jiwer
    import torch
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    from brightspark import samples
    from brightspark.core.feed import Room
    from brightspark.core.predictor import Work
    from brightspark.core.storage import Storage
    from brightspark.speech import whisper
    from brightspark.speech.audio import RATE, open_audio
    from brightspark.speech.log_mel import log_mel
    from brightspark.speech.transcribe import Piece, Writer
    from brightspark.speech.transcription_settings import TranscriptionSettings

    torch.set_num_threads(1)
    whisper.MARGIN, whisper.KEPT = margin, kept
    settings = TranscriptionSettings(words=False, full_window=whole)
    writer = Writer(samples.model("whisper-tiny.en"), "cpu", settings)
    writer._doubtful = lambda written: False  # type: ignore[method-assign]
    if not known:
        bias = whisper.Encoder._bias

        def hidden(self: Any, lengths: torch.Tensor, longest: int) -> torch.Tensor:
            found = bias(self, lengths, longest)
            found[..., longest:] = whisper.HIDDEN
            return found

        whisper.Encoder._bias = hidden  # type: ignore[method-assign]
    work = Work(Storage().open, Room(1 << 29))
    pieces = []
    recordings = short()
    for path, _ in recordings:
        with open_audio({"path": path}, work, settings) as recording:
            heard = recording.read(RATE)
        pieces.append(Piece(0.0, len(heard) / RATE, log_mel(heard, writer.encoder.bands)))
    order = sorted(range(len(pieces)), key=lambda number: -pieces[number].seconds)
    writer.write(writer.prepare([pieces[number] for number in order[:2]]))
    texts: dict[int, str] = {}
    started, first = time.process_time(), 0
    while first < len(order):
        most = max(1, int(SECONDS_IN_A_BATCH // writer.cost(pieces[order[first]])))
        rows = order[first : first + most]
        for row, part in zip(rows, writer.write(writer.prepare([pieces[row] for row in rows])), strict=True):
            texts[row] = part.text
        first += most
    seconds = time.process_time() - started
    alike = EnglishTextNormalizer({})
    said = [alike(text) for _, text in recordings]
    written = [alike(texts[number]) for number in range(len(said))]
    wrong = [jiwer.wer(one, other) for one, other in zip(said, written, strict=True)]
    return {"seconds": seconds, "wer": jiwer.wer(said, written), "half wrong": sum(rate > 0.5 for rate in wrong)}
