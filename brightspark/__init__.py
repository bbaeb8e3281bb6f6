"""Deep learning on Apache Spark: `brightspark.core` and the solutions that stand on it."""

__version__ = "0.1.0"
