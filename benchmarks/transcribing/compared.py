"""Rates and error rates of those who transcribe, round by round."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import apart
import soundfile
from training import table

from transcribing.recordings import RECORDINGS

GOALS = {
    "short": {("brightspark", "pipeline"): 3.0, ("brightspark", "faster-whisper"): 2.0, ("no words", "raw"): 0.9},
    "long": {("brightspark", "pipeline"): 3.0, ("brightspark", "faster-whisper"): 1.0, ("no words", "raw"): 0.9},
}
CLIFF, GOOD = 0.5, 0.2  # words wrong of a prompt


def measure_short(rounds: int) -> dict[str, Any]:
    """Prompts."""
    return _measure("short", rounds)


def measure_long(rounds: int) -> dict[str, Any]:
    """One recording."""
    return _measure("long", rounds)


def _measure(part: str, rounds: int) -> dict[str, Any]:
    recordings = RECORDINGS[part]()
    seconds = sum(soundfile.info(path).duration for path, _ in recordings)
    texts: dict[str, dict[str, str]] = {}

    def run(name: str, target: str, **settings: Any) -> float:
        found = apart.call(f"transcribing.contenders:{target}", part=part, **settings)
        texts[name] = found["texts"]
        return float(seconds / found["seconds"])

    contenders = {
        "brightspark": partial(run, "brightspark", "on_spark", words=True),
        "no words": partial(run, "no words", "on_spark", words=False),
        "raw": partial(run, "raw", "together", way="raw"),
        "pipeline": partial(run, "pipeline", "together", way="pipeline"),
    }
    if importlib.util.find_spec("faster_whisper"):
        contenders["faster-whisper"] = partial(run, "faster-whisper", "together", way="faster-whisper")
    goals = {pair: least for pair, least in GOALS[part].items() if set(pair) <= set(contenders)}
    found = table.judged(table.rounds(contenders, rounds, "× real time"), "× real time", goals)
    return {**found, "seconds": seconds, "wer": _errors(dict(recordings), texts)}


def _errors(said: dict[str, str], texts: dict[str, dict[str, str]]) -> dict[str, Any]:
    import jiwer
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    alike = EnglishTextNormalizer({})
    single = {
        name: {path: jiwer.wer(alike(said[path]), alike(text)) for path, text in each.items()}
        for name, each in texts.items()
    }
    found = {}
    for name, each in texts.items():
        paths = list(said)
        whole = jiwer.wer([alike(said[path]) for path in paths], [alike(each[path]) for path in paths])
        cliffs = sum(single[name][path] > CLIFF and single["pipeline"][path] <= GOOD for path in paths)
        print(f"{name}: WER {whole:.2%}, {cliffs} cliffs", flush=True)
        found[name] = {"wer": whole, "cliffs": cliffs}
    return found
