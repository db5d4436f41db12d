"""Kokoro-82M, a neural text-to-speech model (Apache-2.0): its files, its symbols, its speakers, and a faster order of
its arithmetic.
"""
