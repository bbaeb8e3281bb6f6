"""The thin core that every solution stands on: feeding, scoring, storing and measuring models on Spark."""

import os

# Before torch is imported, since OpenMP looks once. Its threads wait for each other spinning, for 300,000 rounds by
# default: where loader processes, other tasks or other people want the same cores too, a step may take ten times as
# long. After 1,000 rounds they sleep, which costs nothing on cores of their own (docs/benchmarks.md).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
