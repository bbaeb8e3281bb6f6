"""Image classification on Spark: a pyspark.ml Model over any timm network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brightspark.core.artifact import Artifact, describe, is_artifact, open_artifact
from brightspark.core.errors import ArtifactError, InputError, did_you_mean
from brightspark.core.model import ScoringModel
from brightspark.core.transform import quoted
from brightspark.vision.columns import input_columns
from brightspark.vision.labels import read_labels
from brightspark.vision.settings import ImageSettings, answer_type

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, Observation

KIND = "image-classifier"
FILES = ("config.json", "model.safetensors")


class ImageClassifierModel(ScoringModel[ImageSettings]):
    """Classifies images, by any network that timm knows; preprocessing is always the network's own.

    Reads a column of paths (string) or of encoded images (binary): `content` where there is one, else `path`, or what
    `input_col` names. `transform` keeps every row and column and adds

    - `prediction`: string, the likeliest label's name,
    - `probability`: array<float>, in the order of `labels`,
    - `error`: string, why an image has no answer, else null; an image that fails keeps its row,
    - `top`: array<struct<label, probability>>, the `top_k` likeliest, where `top_k` is set.

    Settings are those of `brightspark.vision.settings.ImageSettings`.
    """

    kind = KIND
    loader = "brightspark.vision.predictor:load"
    Settings = ImageSettings

    @classmethod
    def pretrained(cls, name: str, **settings: Any) -> ImageClassifierModel:
        """A model with ready-made weights.

        `name` is a name of timm (`resnet18.a1_in1k`), a repository of the Hugging Face hub (`timm/resnet18.a1_in1k`),
        a local folder in timm's layout (config.json, model.safetensors), or an artifact's folder or URI. A hub's name
        is resolved here, once; workers never ask a hub.

        Raises ArtifactError where there are no safetensors in it, InputError for a name that nobody knows.
        """
        address = name.removeprefix("local-dir:").removeprefix("file://")
        if "://" in address or is_artifact(address):
            artifact = open_artifact(address, kind=KIND)
            return cls(artifact, **{**artifact.settings, **settings})
        folder = Path(address).expanduser()
        if not folder.is_dir():
            folder = _from_hub(name)
        return cls(timm_artifact(folder), **settings)

    def input_columns(self, df: DataFrame) -> tuple[str, ...]:
        """The column that holds images or their paths and, where there is one, that which says which frame."""
        return input_columns(df, self.settings)

    def answer_type(self) -> pa.StructType:
        """prediction, prediction_index, probability and, on request, top."""
        return answer_type(self.settings)

    def outputs(self) -> Mapping[str, str]:
        """The columns named by the settings."""
        named = self.settings
        outputs = {named.prediction_col: "answer.prediction", named.probability_col: "answer.probability"}
        if named.prediction_index_col:
            outputs[named.prediction_index_col] = "answer.prediction_index"
        if named.top_k:
            outputs[named.top_col] = "answer.top"
        outputs[named.error_col] = "error"
        return outputs

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._with_vector(super()._transform(dataset))

    def measure(self, df: DataFrame) -> tuple[DataFrame, Observation]:
        """`transform`, and an observation that holds what it took once the first action is done."""
        scored, observation = super().measure(df)
        return self._with_vector(scored), observation

    def _with_vector(self, scored: DataFrame) -> DataFrame:
        """`probability` once more, as a Spark ML vector, where the settings name a column for it."""
        vector = self.settings.probability_vector_col
        if not vector:
            return scored
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import functions as F

        if vector in scored.columns:
            raise InputError(f"the table has a column {vector!r} already; drop it, or name another")
        probability = F.col(quoted(self.settings.probability_col))
        # array_to_vector fails on null; a failed image has none.
        return scored.withColumn(vector, F.when(probability.isNotNull(), array_to_vector(probability)))


def timm_artifact(folder: Path) -> Artifact:
    """An artifact over a folder in timm's `local-dir:` layout.

    Raises ArtifactError where a file is missing or the weights do not fit; pickled weights are not opened.
    """
    from brightspark.vision.predictor import Preprocessing, load_network

    if not (folder / "model.safetensors").exists():
        pickled = [name for name in ("pytorch_model.bin", "model.pth", "model.pt") if (folder / name).exists()]
        found = f"only pickled weights ({pickled[0]}), which are not opened" if pickled else "no model.safetensors"
        raise ArtifactError(
            f"{folder} has {found}; `brightspark convert {pickled[0] if pickled else 'CHECKPOINT'} --model NAME "
            "--out FOLDER` makes a folder that works"
        )
    artifact = describe(folder, kind=KIND, files=FILES, labels=read_labels(folder))
    Preprocessing.of(load_network(folder), "cpu")  # what cannot work is found out here, not by every worker
    return artifact


def _from_hub(name: str) -> Path:
    """The local snapshot of a hub's repository, from the hub's own cache where it is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository = _repository(name)
    try:
        return Path(snapshot_download(repository, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise InputError(f"{name!r} is no folder here, and no name that a hub can have: {error}") from error
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{name!r} is no folder here, and {repository!r} is not in the hub's cache while the hub cannot be reached"
        ) from error
    except HfHubHTTPError as error:
        raise InputError(f"{name!r} is no folder here, and the hub refuses {repository!r}: {error}") from error


def _repository(name: str) -> str:
    """The hub's repository that a name of timm stands for."""
    import timm

    plain = name.removeprefix("hf-hub:").removeprefix("hf_hub:")
    if "/" in plain:
        return plain
    try:
        config = timm.models.get_pretrained_cfg(plain, allow_unregistered=True)
    except RuntimeError:  # the architecture has no weights of that tag
        config = None
    if config is None or not config.hf_hub_id:
        raise InputError(f"{name!r} is no folder here, and timm has no weights of that name on the hub; {_near(plain)}")
    hub_id = str(config.hf_hub_id)
    return f"{hub_id}{config.architecture}.{config.tag}" if hub_id.endswith("/") else hub_id


def _near(name: str) -> str:
    """The nearest names of weights; the nearest architectures to a name that has no tag."""
    import timm

    weights = [known for known in timm.list_models(pretrained=True) if timm.models.get_pretrained_cfg(known).hf_hub_id]
    known = weights if "." in name else sorted({name.partition(".")[0] for name in weights})
    hint = did_you_mean(name, known)
    return hint if hint.startswith("did") else "timm.list_models(pretrained=True) lists them"
