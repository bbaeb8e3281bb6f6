"""The parts of `train.py`: each has `measure(rounds)`, which prints as it goes and returns what is to be kept."""
