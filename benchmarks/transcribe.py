"""Seconds of sound a second, and words wrong, on two cores: `python benchmarks/transcribe.py [PART ...] [--rounds N]`.

    short      120 prompts of five words and more, of 1 to 30 s
    long       the same prompts as one recording of 10 minutes, with pauses between them

Whisper tiny.en, the same weights and recordings for all, greedy, once warm; each run is a process of its own, and what
starting and loading take is left out. All have both cores. WER is over all prompts together, by Whisper's English
normaliser; and a cliff is a prompt of whose words more than half are wrong where `pipeline` has at most a fifth wrong.

    brightspark      TranscriberModel.transform on Spark, to a no-op write, with words and their times
    no words         the same with words=False, as all of the following
    raw              the same predictor in the engine without Spark, a process for each core
    pipeline         transformers' pipeline, batches of 8, float32 as its documentation has it, a process for each core
    faster-whisper   CTranslate2 in int8, a process for each core (short); its batched pipeline with both cores (long)

    silence    what is done about the silence behind a recording: the prompts, words wrong and processor seconds of one
               core, with all of it worked out, with some of it left away, and with what is known of it

The long recording is one row: brightspark and raw have one core for it, the others one process with two threads.
faster-whisper is left out where it is not installed. What is kept lies in `results/transcribe.json`.
"""

from __future__ import annotations

from pathlib import Path

import part_by_part
from transcribing import compared, silence

RESULT = Path(__file__).parent / "results" / "transcribe.json"
PARTS: part_by_part.Parts = {  # and its rounds
    "short": (compared.measure_short, 3),
    "long": (compared.measure_long, 3),
    "silence": (silence.measure, 1),
}

if __name__ == "__main__":
    part_by_part.main(__doc__, PARTS, RESULT)
