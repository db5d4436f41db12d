"""Waveform augmentation: the sounds that are mixed in, the chain of effects, and the device's features of
its results."""
