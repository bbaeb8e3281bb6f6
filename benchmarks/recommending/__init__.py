"""The parts of `benchmarks/recommend.py`."""
