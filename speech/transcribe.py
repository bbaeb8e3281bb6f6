"""Transcripts as the engine needs them: a recording in segments, written down and joined again. Knows no Spark."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from transformers import AutoTokenizer

from brightspark.core.precision import resolve_precision
from brightspark.core.predictor import Answer, Predictor, Record, Work
from brightspark.speech.audio import RATE, open_audio
from brightspark.speech.decoder import Cache, Decoder, Written, suppressing
from brightspark.speech.log_mel import Spectrogram, log_mel
from brightspark.speech.prompts import prompts_of
from brightspark.speech.segments import is_silent, segments
from brightspark.speech.transcription_settings import TranscriptionSettings
from brightspark.speech.whisper import Encoder, Heard, load_network
from brightspark.speech.word_times import SECONDS, Word, boundaries, words_of

WORD = pa.struct([("word", pa.string()), ("start", pa.float64()), ("end", pa.float64()), ("confidence", pa.float32())])
LEAST_COST = 2  # seconds that a segment counts for at least: each has a row of all the vocabulary's scores
TOKENS_PER_SECOND = 15  # nobody says as many
TOKENS_AT_LEAST = 30

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


class Part(NamedTuple):
    """A segment's transcript."""

    text: str
    language: str | None
    end: float
    words: list[Word]
    seconds: float


def answer_type(settings: TranscriptionSettings) -> pa.StructType:
    """A transcript: its words only where they are wanted."""
    words = [("words", pa.list_(WORD))] if settings.words else []
    return pa.struct([("text", pa.string()), ("language", pa.string()), ("duration", pa.float64()), *words])


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
        prepare=list,
        predict=writer.write,
        join=lambda record, answers: joined(answers, settings),
        size=cost,
        batch_cost=settings.batch_size,
    )


def cost(piece: Piece) -> int:
    """What a segment costs the network, in seconds."""
    return LEAST_COST if piece.sound is None else max(LEAST_COST, math.ceil(piece.seconds))


def joined(answers: Sequence[Part], settings: TranscriptionSettings) -> Answer:
    """A recording's transcript from its segments', in their order."""
    spoken: dict[str, float] = {}
    for part in answers:
        if part.language and part.text:
            spoken[part.language] = spoken.get(part.language, 0.0) + part.seconds
    language = max(spoken, key=lambda code: spoken[code]) if spoken else settings.language
    text = " ".join(part.text for part in answers if part.text)
    answer: dict[str, Any] = {"text": text, "language": language, "duration": answers[-1].end}
    if settings.words:
        answer["words"] = [word for part in answers for word in part.words]
    return answer


class Writer:
    """A Whisper checkpoint, and what it is asked to write."""

    def __init__(self, folder: Path, device: str, settings: TranscriptionSettings) -> None:
        precision = resolve_precision(settings.precision, device)
        network = load_network(folder).to(device=device, dtype=getattr(torch, precision))
        self.settings, self.device = settings, device
        self.prompts = prompts_of(folder)
        self.prompts.check(settings)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.encoder = Encoder(network)
        self.decoder = Decoder(network, end=self.prompts.end, nobody=self.prompts.nobody)
        self.seconds = min(settings.segment_seconds, self.encoder.positions * SECONDS)
        told, vocabulary = network.generation_config, network.config.vocab_size
        never = {*(told.suppress_tokens or ()), *range(self.prompts.end + 1, vocabulary)}  # timestamps and the like
        first = {*never, *(told.begin_suppress_tokens or ())}
        self.never, self.never_first = (
            suppressing(vocabulary, sorted(each), network.device) for each in (never, first)
        )
        heads = getattr(told, "alignment_heads", None)
        layers = range(network.config.decoder_layers // 2, network.config.decoder_layers)
        every = [(layer, head) for layer in layers for head in range(network.config.decoder_attention_heads)]
        self.heads = [(layer, head) for layer, head in heads] if heads else every

    @torch.inference_mode()
    def write(self, pieces: Sequence[Piece]) -> list[Part]:
        """The transcripts of some segments."""
        parts = [Part("", None, piece.start + piece.seconds, [], piece.seconds) for piece in pieces]
        heard = [number for number, piece in enumerate(pieces) if piece.sound is not None]
        if heard:
            for number, part in zip(
                heard, self._written([pieces[number] for number in heard], whole=self.settings.full_window), strict=True
            ):
                parts[number] = part
        return parts

    def _written(self, pieces: Sequence[Piece], *, whole: bool) -> list[Part]:
        sounds = [piece.sound for piece in pieces if piece.sound is not None]
        heard = self.encoder(sounds, whole=whole)
        cross = self.decoder.cross(heard)
        languages = self._languages(heard)
        prompts = [self.prompts.of(language, self.settings.task) for language in languages]
        limits = [self._limit(piece) for piece in pieces]
        ids = torch.tensor(prompts, device=self.device)
        written = self.decoder(heard, cross, ids, limits, self.never, self.never_first)
        times = self._times(heard, cross, prompts, written) if self.settings.words else [None] * len(pieces)
        parts = [self._part(*each) for each in zip(pieces, written, languages, times, strict=True)]
        if not whole:
            doubted = [number for number, one in enumerate(written) if self._doubtful(one)]
            again = self._written([pieces[number] for number in doubted], whole=True) if doubted else []
            for number, part in zip(doubted, again, strict=True):
                parts[number] = part
        return parts

    def _languages(self, heard: Heard) -> list[str]:
        if not self.prompts.languages or self.settings.language:
            return [self.settings.language or "en"] * len(heard.states)
        codes, tokens = list(self.prompts.languages), list(self.prompts.languages.values())
        scores = self.decoder.first(heard, self.prompts.start)[:, tokens]
        return [codes[best] for best in scores.argmax(dim=1).tolist()]

    def _limit(self, piece: Piece) -> int:
        return min(self.settings.max_new_tokens, TOKENS_AT_LEAST + int(TOKENS_PER_SECOND * piece.seconds))

    def _doubtful(self, written: Written) -> bool:
        return written.cut or written.mean < LEAST_MEAN or compression(self._text(written)) > MOST_COMPRESSION

    def _text(self, written: Written) -> str:
        text: str = self.tokenizer.decode(written.tokens, skip_special_tokens=True)
        return text.strip()

    def _times(self, heard: Heard, cross: Cache, prompts: list[list[int]], written: list[Written]) -> list[list[float]]:
        """The boundaries of each row's tokens."""
        told = [[*prompt, *one.tokens, self.prompts.end] for prompt, one in zip(prompts, written, strict=True)]
        longest = max(map(len, told))
        ids = torch.tensor([row + [self.prompts.end] * (longest - len(row)) for row in told], device=self.device)
        scores = self.decoder.attention(cross, heard, ids, self.heads).cpu()
        begun = len(prompts[0]) - 1  # what attends to a token's moment is the place before, which foresees it
        return [
            boundaries(scores[row, :, begun : begun + len(one.tokens) + 1], int(length))
            for row, (one, length) in enumerate(zip(written, heard.lengths.tolist(), strict=True))
        ]

    def _part(self, piece: Piece, written: Written, language: str, times: list[float] | None) -> Part:
        end = piece.start + piece.seconds
        if written.silence > NOBODY and written.mean < LEAST_MEAN:
            return Part("", language, end, [], piece.seconds)
        words: list[Word] = []
        if times is not None and written.tokens:
            kept = [min(piece.seconds, time) for time in times]
            spoken = "en" if self.settings.task == "translate" else language
            words = words_of(self.tokenizer, written.tokens, written.chances, kept, spoken, piece.start)
        return Part(self._text(written), language, end, words, piece.seconds)


def compression(text: str) -> float:
    """How much shorter a text becomes by compression: above 2.4 it says the same over and over."""
    encoded = text.encode()
    return len(encoded) / max(1, len(zlib.compress(encoded)))
