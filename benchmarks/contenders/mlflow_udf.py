"""MLflow's `spark_udf` over a pyfunc model that takes encoded images, as in MLflow's image example.

https://mlflow.org/docs/latest/api_reference/python_api/mlflow.pyfunc.html#mlflow.pyfunc.spark_udf
The UDF loads the model again in every task: the seconds of that, written down by the model, count as loading.
"""

from __future__ import annotations

import os
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders.job import Job, Settings, Stopwatch, Timing

if TYPE_CHECKING:
    import pandas as pd

CHOICES: tuple[Settings, ...] = tuple(
    {"batch": batch, "channels_last": channels_last, "partitions_per_core": 1}
    for batch, channels_last in product((32, 64), (False, True))
)
RESULT = "prediction long, probability array<float>"


def run(job: Job, settings: Settings) -> Timing:
    """Score `content` with the UDF; an Arrow batch is the model's batch."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{scratch}/mlflow.db"
        log = Path(scratch, "loads")
        saved = _save(job.model, Path(scratch, "model"), log, channels_last=settings["channels_last"])
        watch = Stopwatch()
        import mlflow.pyfunc

        from contenders import peer_session

        spark = peer_session.start(job, batch=settings["batch"])
        start = watch.lap()
        score = mlflow.pyfunc.spark_udf(spark, saved, result_type=RESULT, env_manager="local")
        partitions = job.cores * settings["partitions_per_core"]
        images = peer_session.read(spark, job.warm_up, partitions=partitions)
        answers = peer_session.answers(images.select("path", score("content").alias("answer")))
        load = watch.lap()
        log.unlink()
        images = peer_session.read(spark, job.images, partitions=partitions)
        peer_session.write_nowhere(images.select("path", score("content").alias("answer")))
        loading = sum(map(float, log.read_text().split())) / job.cores
        spark.stop()
        return Timing(start=start, load=load + loading, score=watch.lap() - loading, answers=answers)


def _save(folder: Path, target: Path, log: Path, *, channels_last: bool) -> str:
    """An MLflow model in `target` that holds the timm folder."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    class ImageModel(mlflow.pyfunc.PythonModel):
        """Encoded images in, class numbers and probabilities out."""

        def load_context(self, context: Any) -> None:
            from classifier import Classifier

            began = time.perf_counter()
            timm_folder = Path(context.artifacts["timm"])
            self.classifier = Classifier.load(timm_folder, threads=1, channels_last=channels_last)
            with log.open("a") as file:
                file.write(f"{time.perf_counter() - began}\n")

        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> dict[str, Any]:
            images = [self.classifier.decode(content) for content in model_input["content"]]
            classes, probabilities = self.classifier.predict(images)
            return {"prediction": classes, "probability": probabilities}

    mlflow.pyfunc.save_model(
        target,
        python_model=ImageModel(),
        artifacts={"timm": str(folder)},
        signature=ModelSignature(inputs=Schema([ColSpec("binary", "content")])),
        pip_requirements=["torch", "timm", "pillow"],
    )
    return str(target)
