"""The demo's section on speech: real recordings, written down on Spark, beside what plain transformers writes."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from brightspark import samples
from brightspark.core.errors import StorageError
from brightspark.core.report import Block, Figures, Heading, KeyFigure, Note, Plot, Section, Sound, Table
from brightspark.core.transcription_metrics import transcription
from brightspark.speech import TranscriberModel, read_audio
from brightspark.speech.subtitles import cues
from brightspark.speech.waveform import draw_waveform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from brightspark.core.transcription_report import TranscriptionReport

NORMALISER = "english"
SUBTITLES = 12
SHOWN = 3  # recordings with a waveform
WINDOW_SECONDS = 30  # that plain transformers hears of a recording
COMPARED = 40  # that plain transformers writes down as well: it takes its time
JOINED, PAUSE_SECONDS = 24, 0.7  # prompts that make a long recording
LONG = "joined.wav"


@dataclass(frozen=True)
class Run:
    """What the section did, for its blocks."""

    rows: list[Any]
    """all recordings and their answers"""
    report: TranscriptionReport
    compared: TranscriptionReport
    """the same of those that `plain` is measured on"""
    plain: TranscriptionReport
    seconds: dict[str, float]
    sound_seconds: float
    plain_sound_seconds: float
    note: str


def section(spark: SparkSession, say: Callable[[str], None]) -> Section:
    """Prompts of a telephone exchange, one long recording made of them, and four damaged files."""
    say("speech: fetching recordings and Whisper tiny.en")
    folder, names, note = _recordings()
    return section_of(spark, folder, say, licences=samples.licences(*names, "whisper-tiny.en"), note=note)


def section_of(
    spark: SparkSession, folder: Path, say: Callable[[str], None], *, licences: dict[str, str], note: str = ""
) -> Section:
    """The same of a folder of recordings with a manifest; of those in several languages, the English ones."""
    with tempfile.TemporaryDirectory(prefix="brightspark-demo-") as made:
        whole = Path(made) / "recordings"
        shutil.copytree(folder, whole)
        _add_long(whole)
        _add_damaged(whole)
        run = _run(spark, whole, samples.model("whisper-tiny.en"), say, note=note)
        title = "Speech: what is said on these recordings?"
        return Section(title=title, summary=_summary(run), blocks=_blocks(run), licences=licences)


def _recordings() -> tuple[Path, Sequence[str], str]:
    """Prompts where apt can fetch them, else the few English recordings that every machine gets; and why these."""
    try:
        return samples.prompts(), ("asterisk-sounds", "asterisk-texts"), ""
    except StorageError as error:
        note = (
            f"The 551 prompts that this section is made for could not be fetched ({error}); so there are three clips."
        )
        return samples.recordings(), ("pytest-audioeval",), note


def _add_long(folder: Path) -> None:
    """Some prompts in one recording, with pauses between them."""
    paths = sorted(path for path in _english(folder) if soundfile.info(path).duration > 2)[:JOINED]
    rate = soundfile.info(paths[0]).samplerate
    pause = np.zeros(int(PAUSE_SECONDS * rate), np.float32)
    parts = [part for path in paths for part in (soundfile.read(path, dtype="float32")[0], pause)]
    soundfile.write(folder / LONG, np.concatenate(parts), rate)


def _add_damaged(folder: Path) -> None:
    """Files as every archive has them: cut short, empty, no sound at all, and one in which nobody speaks."""
    whole = min(_english(folder)).read_bytes()
    damaged = folder / "damaged on purpose"
    damaged.mkdir()
    (damaged / "cut short.wav").write_bytes(whole[: len(whole) // 2])
    (damaged / "empty.wav").touch()
    (damaged / "a text.wav").write_text("this is no recording", encoding="utf-8")
    soundfile.write(damaged / "silence.wav", np.zeros(8_000, np.float32), 8_000)


def _english(folder: Path) -> list[Path]:
    return list((folder / "en" if (folder / "en").is_dir() else folder).glob("*.wav"))


def _referenced(spark: SparkSession, folder: Path) -> DataFrame:
    """The recordings, and what was written down for them as `reference`."""
    (manifest,) = folder.glob("*.csv")
    found = read_audio(spark, str(folder), manifest=str(manifest))
    return found if "language" not in found.columns else found.filter("language IS NULL OR language = 'en'")


def _run(spark: SparkSession, folder: Path, weights: Path, say: Callable[[str], None], *, note: str) -> Run:
    model = TranscriberModel.pretrained(str(weights))
    recordings = _referenced(spark, folder)
    say("speech: transcribing on Spark")
    started = time.perf_counter()
    rows = model.transform(recordings).collect()
    seconds = {"first": time.perf_counter() - started}
    started = time.perf_counter()
    model.transform(recordings).write.format("noop").mode("overwrite").save()
    seconds["warm"] = time.perf_counter() - started
    fit = [row for row in rows if row["reference"] and row["error"] is None and row["duration"] <= WINDOW_SECONDS]
    compared = fit[:COMPARED]
    say(f"speech: transcribing {len(compared)} of them with plain transformers, to compare")
    plain, seconds["plain"] = _plain(weights, [row["path"] for row in compared])
    known = [row for row in rows if row["reference"]]
    return Run(
        rows=rows,
        report=_measured(spark, known, [row["text"] for row in known]),
        compared=_measured(spark, compared, [row["text"] for row in compared]),
        plain=_measured(spark, compared, plain),
        seconds=seconds,
        sound_seconds=sum(row["duration"] or 0.0 for row in rows),
        plain_sound_seconds=sum(row["duration"] for row in compared),
        note=note,
    )


def _plain(weights: Path, paths: Sequence[str]) -> tuple[list[str], float]:
    """Recording by recording, as transformers' own documentation does it; and the seconds, once it is loaded."""
    import torch
    from torchaudio.functional import resample
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    processor = AutoProcessor.from_pretrained(weights)  # type: ignore[no-untyped-call]
    network: Any = WhisperForConditionalGeneration.from_pretrained(weights, dtype=torch.float32)
    network.eval()
    texts, started = [], time.perf_counter()
    for path in paths:
        sound, rate = soundfile.read(path, dtype="float32")
        heard = resample(torch.from_numpy(sound), rate, 16_000).numpy()
        features = processor(heard, sampling_rate=16_000, return_tensors="pt").input_features
        found = network.generate(features, do_sample=False, num_beams=1)
        texts.append(processor.batch_decode(found, skip_special_tokens=True)[0].strip())
    return texts, time.perf_counter() - started


def _measured(spark: SparkSession, rows: Sequence[Any], texts: Sequence[str | None]) -> TranscriptionReport:
    """How good texts are as transcripts of the rows' recordings."""
    table = [(row["path"], row["reference"], text, row["error"]) for row, text in zip(rows, texts, strict=True)]
    return transcription(
        spark.createDataFrame(table, "path string, reference string, text string, error string"), normaliser=NORMALISER
    )


def _summary(run: Run) -> str:
    measured = run.report.overall
    failed = sum(row["error"] is not None for row in run.rows)
    return (
        f"{len(run.rows) - failed:,} recordings, {run.sound_seconds / 60:.0f} minutes, written down on Spark by "
        f"Whisper tiny.en: of {measured.words:,} words {_percent(measured.wer)} are wrong. {failed} files were damaged "
        "on purpose: each keeps its row and says what is wrong with it."
    )


def _blocks(run: Run) -> list[Block]:
    speed, plain = run.sound_seconds / run.seconds["warm"], run.plain_sound_seconds / run.seconds["plain"]
    return [
        Figures(
            [
                KeyFigure(_percent(run.report.overall.wer), "WER", f"of {run.report.overall.rows:,} recordings"),
                KeyFigure(f"{speed:.0f}", "× real time", "on Spark, all recordings, with the words' times"),
                KeyFigure(f"{plain:.0f}", "× real time", f"plain transformers, {run.plain.rows} recordings one by one"),
                KeyFigure(f"{run.seconds['first']:.1f}", "s", "the first job: workers start and load the model"),
            ]
        ),
        *_shown(run),
        Heading("Beside plain transformers"),
        _comparison(run),
        Heading("What went worst, and what is no speech"),
        _worst(run),
        _damaged(run),
        Note(
            f"Texts are made alike before they are compared ({NORMALISER}: case, punctuation, numbers in figures), as "
            "Whisper's authors do it. The prompts were written down for who runs a telephone exchange: some say less "
            f"than is spoken, and short ones out of their context are hard. {run.note}".strip()
        ),
    ]  # fmt: skip


def _shown(run: Run) -> list[Block]:
    """Some recordings to listen to, and the end of the long one."""
    good = [row for row in run.rows if row["error"] is None and row["reference"] and 2 < row["duration"] < 7]
    blocks: list[Block] = []
    for row in sorted(good, key=lambda row: row["path"])[:: max(1, len(good) // SHOWN)][:SHOWN]:
        path = Path(row["path"])
        sound, rate = soundfile.read(path, dtype="float32")
        words = [word.asDict() for word in row["words"]]
        blocks += [
            Heading(f"“{row['text']}”"),
            Sound(path.read_bytes(), f"{path.name}; written down for it: “{row['reference']}”"),
            Plot(draw_waveform(sound, rate, words), alt="waveform with its words", caption="Each word where it is."),
        ]  # fmt: skip
    (long,) = [row for row in run.rows if Path(row["path"]).name == LONG]
    return [
        *blocks,
        Heading(f"One recording of {long['duration']:.0f} s, cut at its pauses"),
        Table(
            ("from", "to", "subtitle"),
            [(f"{cue.start:.1f} s", f"{cue.end:.1f} s", cue.text) for cue in list(cues(long["words"]))[:SUBTITLES]],
            caption=f"The first {SUBTITLES} of its subtitles, as `srt` and `vtt` write them.",
        ),
    ]


def _damaged(run: Run) -> Table:
    rows = [
        (Path(row["path"]).name, row["error"] or row["text"] or "no error, and an empty text: nobody speaks")
        for row in run.rows
        if "damaged" in row["path"]
    ]
    return Table(("file", "what it says of itself"), rows, caption="Files that were damaged on purpose.")


def _comparison(run: Run) -> Table:
    rows = [
        (name, one.overall.rows, _percent(one.overall.wer), _percent(one.overall.cer))
        for name, one in (("brightspark on Spark", run.compared), ("plain transformers, float32", run.plain))
    ]
    return Table(
        ("", "recordings", "WER", "CER"),
        rows,
        caption="The same recordings of at most 30 s, the same weights, both greedy.",
    )


def _worst(run: Run) -> Table:
    rows = [(Path(one.key).name, one.reference, one.text, one.errors) for one in run.report.worst[:6]]
    return Table(("recording", "written down for it", "heard", "errors"), rows)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"
