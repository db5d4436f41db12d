"""A second stage behind a device: a larger model, or several, that hear the seconds around a detection and say yes or
no. docs/judge.md shows it at work.
"""
