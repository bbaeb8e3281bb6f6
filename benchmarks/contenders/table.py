"""Every contender by its name in the table."""

from __future__ import annotations

from contenders import engine, mlflow_udf, predict_batch, raw, ray_data
from contenders.job import Contender

CONTENDERS = {
    "raw float32": Contender(run=raw.run, choices=raw.choices(bfloat16=False)),
    "raw bfloat16": Contender(run=raw.run, choices=raw.choices(bfloat16=True)),
    "predict_batch_udf": Contender(run=predict_batch.run, choices=predict_batch.DOCUMENTED),
    "predict_batch_udf tuned": Contender(run=predict_batch.run, choices=predict_batch.TUNED),
    "Ray Data": Contender(run=ray_data.run, choices=ray_data.CHOICES),
    "MLflow spark_udf": Contender(run=mlflow_udf.run, choices=mlflow_udf.CHOICES),
    "brightspark float32": Contender(run=engine.run, choices=({"precision": "float32"},)),
    "brightspark": Contender(run=engine.run, choices=({"precision": "auto"},)),
}
