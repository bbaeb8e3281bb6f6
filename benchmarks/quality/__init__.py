"""Parts of `quality_vision.py`: the data, and a plain timm loop to compare with."""
