"""Speech recognition on Spark: a pyspark.ml Model over any Whisper checkpoint of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from brightspark.core.artifact import Artifact
from brightspark.core.checkpoint import describe_checkpoint, find_checkpoint
from brightspark.core.model import ScoringModel
from brightspark.speech.columns import audio_column
from brightspark.speech.transcription_settings import TranscriptionSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KIND = "transcriber"


class TranscriberModel(ScoringModel[TranscriptionSettings]):
    """Writes down what is said in recordings, by any Whisper checkpoint.

    Reads a column of paths (string) or of encoded sound (binary). `transform` keeps every row and column and adds

    - `text`: string, empty where nothing is said,
    - `duration`: double, the recording's seconds,
    - `words`, unless `words=False`: array of structs of `word`, `start` and `end` in seconds, and `confidence`, the
      geometric mean of its tokens' probabilities,
    - what `language_col` names, if it does: string, the language of most of it, as in `en`,
    - what `cut_col` names, if it does: boolean, whether a segment's text ran out of tokens,
    - `error`: string, why a recording has no transcript (missing, cut, no sound), else null; it keeps its row.

    A recording of more than `segment_seconds` is cut at its pauses; of hours it is read by range. Settings are those of
    `brightspark.speech.transcription_settings.TranscriptionSettings`.
    """

    kind = KIND
    loader = "brightspark.speech.transcribe:load"
    Settings = TranscriptionSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> TranscriberModel:
        """A model with ready-made weights.

        `name` is a repository of the Hugging Face hub (`openai/whisper-tiny.en`), a local folder as transformers has
        it, or an artifact's folder or URI.

        Raises ArtifactError where there are no safetensors in it, or no Whisper; SettingError for a language that it
        does not know; InputError for a name that nobody knows.
        """
        found = find_checkpoint(name, kind=KIND)
        artifact = transcriber_artifact(found) if isinstance(found, Path) else found
        model = cls(artifact, **{**artifact.settings, **settings})
        if Path(artifact.address).is_dir():
            from brightspark.core.checkpoint_network import load_tokenizer
            from brightspark.speech.prompts import prompts_of

            folder = Path(artifact.address)
            prompts_of(folder, load_tokenizer(folder)).check(model.settings)
        return model

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column of recordings."""
        return (audio_column(df, self.settings.input_col),)

    def answer_type(self) -> pa.StructType:
        """A transcript, its language and length, and its words."""
        from brightspark.speech.transcribe import answer_type

        return answer_type(self.settings)

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        named = self.settings
        outputs = {named.text_col: "answer.text", named.duration_col: "answer.duration"}
        if named.words:
            outputs[named.words_col] = "answer.words"
        if named.language_col:
            outputs[named.language_col] = "answer.language"
        if named.cut_col:
            outputs[named.cut_col] = "answer.cut"
        outputs[named.error_col] = "error"
        return outputs

    def counted(self) -> Mapping[str, str]:
        """Transcripts of which a segment was cut."""
        return {"cut": "answer.cut"}


def transcriber_artifact(folder: Path) -> Artifact:
    """An artifact over a folder with a Whisper checkpoint as transformers has it.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.speech.whisper import load_network

    described = describe_checkpoint(folder, kind=KIND)
    load_network(folder)  # what cannot work is found out here, not by every worker
    return described
