"""The rooms of `benchmarks/quality.py`."""
