"""Scoring a model on one split of a run: the device protocol first, classic window metrics for comparison.

Nothing is chosen here.
"""
