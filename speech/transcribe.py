"""Transcripts as the engine needs them: a recording in segments, written down and joined again. Knows no Spark."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch

from brightspark.core.checkpoint_network import load_tokenizer
from brightspark.core.precision import resolve_precision
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.speech.audio import RATE, open_audio
from brightspark.speech.decoder import Cache, Decoder, Written, suppressing
from brightspark.speech.log_mel import Spectrogram, log_mel
from brightspark.speech.prompts import prompts_of
from brightspark.speech.segments import is_silent, segments
from brightspark.speech.transcription_settings import TranscriptionSettings
from brightspark.speech.whisper import Encoder, Heard, Sounds, load_network
from brightspark.speech.word_times import SECONDS, SPACELESS, Word, boundaries, words_of

WORD = pa.struct([("word", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("confidence", pa.float32())])
LEAST_COST = 2  # seconds that a segment counts for at least: each has a row of all the vocabulary's scores
TOKENS_PER_SECOND, TOKENS_AT_LEAST = 50, 30  # no speech is as fast in any script: only a loop writes so much

# When a transcript is not to be believed (whisper/transcribe.py): a loop of the same words, or none of them likely.
MOST_COMPRESSION = 2.4
LEAST_MEAN = -1.0
NOBODY = 0.6  # the probability of silence from which an unlikely transcript is thrown away


class Piece(NamedTuple):
    """A segment of a recording."""

    start: float
    seconds: float
    sound: Spectrogram | None
    """None where there is nothing to hear"""


class Batch(NamedTuple):
    """Some segments, and those that can be heard as a batch."""

    pieces: Sequence[Piece]
    sounds: Sounds | None


class Part(NamedTuple):
    """A segment's transcript."""

    text: str
    language: str | None
    seconds: float
    end: float
    words: list[Word]
    cut: bool


def answer_type(settings: TranscriptionSettings) -> pa.StructType:
    """A transcript: its words only where they are wanted."""
    words = [("words", pa.list_(WORD))] if settings.words else []
    facts = [("language", pa.string()), ("duration", pa.float64()), ("cut", pa.bool_())]
    return pa.struct([("text", pa.string()), *facts, *words])


def load(folder: Path, device: str, settings: TranscriptionSettings) -> Predictor:
    """The transcriber of a folder as transformers has it.

    Raises ArtifactError for another kind of network, SettingError for a language that it does not know.
    """
    writer = Writer(folder, device, settings)

    def split(record: Record, work: Work) -> Iterator[Piece]:
        with open_audio(record, work, settings) as recording:
            for segment in segments(recording.blocks(RATE), RATE, seconds=writer.seconds):
                silent = is_silent(segment.samples, RATE)
                sound = None if silent else log_mel(segment.samples, writer.encoder.bands)
                yield Piece(segment.start, len(segment.samples) / RATE, sound)

    return Predictor(
        columns=(settings.input_col or "path",),
        answer_type=answer_type(settings),
        split=split,
        prepare=writer.prepare,
        predict=writer.write,
        join=lambda record, answers: joined(answers, settings),
        size=writer.cost,
        batch_cost=settings.batch_size,
    )


def joined(answers: Sequence[Part], settings: TranscriptionSettings) -> Answer:
    """A recording's transcript from its segments', in their order."""
    spoken: dict[str, float] = {}
    for part in answers:
        if part.language and part.text:
            spoken[part.language] = spoken.get(part.language, 0.0) + part.seconds
    language = max(spoken, key=lambda code: spoken[code]) if spoken else answers[0].language
    between = "" if language in SPACELESS and settings.task == "transcribe" else " "
    answer: dict[str, Any] = {
        "text": between.join(part.text for part in answers if part.text),
        "language": language,
        "duration": answers[-1].end,
        "cut": any(part.cut for part in answers),
    }
    if settings.words:
        answer["words"] = [word for part in answers for word in part.words]
    return answer


class Writer:
    """A Whisper checkpoint, and what it is asked to write."""

    def __init__(self, folder: Path, device: str, settings: TranscriptionSettings) -> None:
        precision = resolve_precision(settings.precision, device)
        network = load_network(folder, getattr(torch, precision)).to(device)
        self.settings, self.device = settings, device
        self.tokenizer = load_tokenizer(folder)
        self.prompts = prompts_of(folder, self.tokenizer)
        self.prompts.check(settings)
        self.language = self.prompts.known(settings)
        self.encoder = Encoder(network)
        self.decoder = Decoder(network, end=self.prompts.end, nobody=self.prompts.nobody)
        self.window = self.encoder.positions * SECONDS
        self.seconds = min(settings.segment_seconds, self.window)
        told, vocabulary = network.generation_config, network.config.vocab_size
        never = {*(told.suppress_tokens or ()), *range(self.prompts.end + 1, vocabulary)}  # timestamps and the like
        first = {*never, *(told.begin_suppress_tokens or ())}
        self.never, self.never_first = (
            suppressing(vocabulary, sorted(each), network.device) for each in (never, first)
        )
        self.heads = alignment_heads(network)

    def cost(self, piece: Piece) -> int:
        """What a segment costs the network, in seconds."""
        if piece.sound is None:
            return LEAST_COST
        return max(LEAST_COST, math.ceil(self.window if self.settings.full_window else piece.seconds))

    def prepare(self, pieces: Sequence[Piece]) -> Batch:
        """Segments as a batch on the device."""
        sounds = [piece.sound for piece in pieces if piece.sound is not None]
        return Batch(pieces, self.encoder.collate(sounds, whole=self.settings.full_window) if sounds else None)

    @torch.inference_mode()
    def write(self, batch: Batch) -> list[Part]:
        """The transcripts of some segments."""
        parts = [
            Part("", self.language, piece.seconds, piece.start + piece.seconds, [], False) for piece in batch.pieces
        ]
        if batch.sounds is None:
            return parts
        heard = [number for number, piece in enumerate(batch.pieces) if piece.sound is not None]
        pieces = [batch.pieces[number] for number in heard]
        for number, part in zip(heard, self._believed(pieces, batch.sounds), strict=True):
            parts[number] = part
        return parts

    def _believed(self, pieces: Sequence[Piece], sounds: Sounds) -> list[Part]:
        """The transcripts; of those that are not to be believed what the full window says."""
        parts = self._written(pieces, sounds)
        doubted = [number for number, part in enumerate(parts) if part is None]
        several = max(1, int(self.settings.batch_size // self.window))  # so that a batch costs no more than others
        for first in range(0, len(doubted), several):
            numbers = doubted[first : first + several]
            again = [pieces[number] for number in numbers]
            whole = self.encoder.collate([piece.sound for piece in again if piece.sound is not None], whole=True)
            for number, part in zip(numbers, self._written(again, whole), strict=True):
                parts[number] = part
        return [part for part in parts if part is not None]

    def _written(self, pieces: Sequence[Piece], sounds: Sounds) -> list[Part | None]:
        """The transcripts; None of those that another look may mend."""
        heard = self.encoder(sounds)
        cross = self.decoder.cross(heard)
        languages = self._languages(cross, heard)
        prompts = [self.prompts.of(language, self.settings.task) for language in languages]
        limits = [self._limit(piece, len(prompts[0])) for piece in pieces]
        ids = torch.tensor(prompts, device=self.device)
        written = self.decoder(cross, heard.bias, ids, limits, self.never, self.never_first)
        partial = (sounds.lengths < self.encoder.positions).tolist()  # the full window may say something else
        kept = [row for row, one in enumerate(written) if not (partial[row] and self._doubtful(one))]
        times = self._times(cross, heard, pieces, prompts, written, kept) if self.settings.words and kept else {}
        parts: list[Part | None] = [None] * len(pieces)
        for row in kept:
            parts[row] = self._part(pieces[row], written[row], languages[row], times.get(row))
        return parts

    def _languages(self, cross: Cache, heard: Heard) -> list[str]:
        if self.language is not None:
            return [self.language] * len(heard.states)
        codes, tokens = list(self.prompts.languages), list(self.prompts.languages.values())
        scores = self.decoder.first(cross, heard.bias, self.prompts.start)[:, tokens]
        return [codes[best] for best in scores.argmax(dim=1).tolist()]

    def _limit(self, piece: Piece, begun: int) -> int:
        most = self.settings.max_new_tokens or self.decoder.most_tokens(begun)
        return min(most, TOKENS_AT_LEAST + int(TOKENS_PER_SECOND * piece.seconds))

    def _doubtful(self, written: Written) -> bool:
        return written.cut or written.mean < LEAST_MEAN or compression(self._text(written)) > MOST_COMPRESSION

    def _text(self, written: Written) -> str:
        text: str = self.tokenizer.decode(written.tokens, skip_special_tokens=True)
        return text.strip()

    def _times(
        self,
        cross: Cache,
        heard: Heard,
        pieces: Sequence[Piece],
        prompts: list[list[int]],
        written: list[Written],
        rows: list[int],
    ) -> dict[int, list[float]]:
        """The boundaries of the tokens of some rows."""
        told = [[*prompts[row], *written[row].tokens, self.prompts.end] for row in rows]
        longest = max(map(len, told))
        ids = torch.tensor([row + [self.prompts.end] * (longest - len(row)) for row in told], device=self.device)
        left = torch.tensor(rows, device=self.device)
        bias = None if heard.bias is None else heard.bias[left]
        scores = self.decoder.attention([(keys[left], values[left]) for keys, values in cross], bias, ids, self.heads)
        begun = len(prompts[0]) - 1  # what attends to a token's moment is the place before, which foresees it
        found = {}
        for place, row in enumerate(rows):
            own = scores[place, :, begun : begun + len(written[row].tokens) + 1].cpu()
            found[row] = boundaries(own, min(self.encoder.positions, math.ceil(pieces[row].seconds / SECONDS)))
        return found

    def _part(self, piece: Piece, written: Written, language: str, times: list[float] | None) -> Part:
        end = piece.start + piece.seconds
        if written.silence > NOBODY and written.mean < LEAST_MEAN:
            return Part("", language, piece.seconds, end, [], False)
        words: list[Word] = []
        if times is not None and written.tokens and piece.sound is not None:
            kept = [min(piece.seconds, time) for time in times]
            spoken = "en" if self.settings.task == "translate" else language
            words = words_of(
                self.tokenizer, written.tokens, written.chances, kept,
                language=spoken, start=piece.start, sound=piece.sound,
            )  # fmt: skip
        return Part(self._text(written), language, piece.seconds, end, words, written.cut)


def alignment_heads(network: Any) -> list[tuple[int, int]]:
    """The (layer, head) pairs that follow the time: those that a checkpoint names, or all of its decoder's second half.

    Distilled checkpoints may name those of their teacher, some of which they do not have.
    """
    layers, heads = network.config.decoder_layers, network.config.decoder_attention_heads
    named = [tuple(pair) for pair in getattr(network.generation_config, "alignment_heads", None) or ()]
    own = [(layer, head) for layer, head in named if layer < layers and head < heads]
    every = [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
    return own if own and len(own) == len(named) else every


def compression(text: str) -> float:
    """How much shorter a text becomes by compression: above 2.4 it says the same over and over."""
    encoded = text.encode()
    return len(encoded) / max(1, len(zlib.compress(encoded)))
