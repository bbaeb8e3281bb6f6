"""Speech recognition on Spark, for any Whisper checkpoint.

from brightspark.core.session import session
from brightspark.speech import TranscriberModel, read_audio

model = TranscriberModel.pretrained("openai/whisper-tiny.en")
model.transform(read_audio(session(), "s3://bucket/calls")).write.parquet("s3://bucket/transcripts")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brightspark.core.lazy import lazily

if TYPE_CHECKING:
    from brightspark.core.transcription_metrics import transcription as evaluate
    from brightspark.speech.read import read_audio, with_facts
    from brightspark.speech.settings import AudioSettings
    from brightspark.speech.subtitles import srt, vtt
    from brightspark.speech.transcriber import TranscriberModel
    from brightspark.speech.transcription_settings import TranscriptionSettings

_HOMES = {
    "AudioSettings": "brightspark.speech.settings",
    "TranscriberModel": "brightspark.speech.transcriber",
    "TranscriptionSettings": "brightspark.speech.transcription_settings",
    "evaluate": "brightspark.core.transcription_metrics:transcription",
    "read_audio": "brightspark.speech.read",
    "srt": "brightspark.speech.subtitles",
    "vtt": "brightspark.speech.subtitles",
    "with_facts": "brightspark.speech.read",
}

__all__ = [
    "AudioSettings",
    "TranscriberModel",
    "TranscriptionSettings",
    "evaluate",
    "read_audio",
    "srt",
    "vtt",
    "with_facts",
]

__getattr__ = lazily(__name__, _HOMES)
