"""Sound that may call itself calibrated: signals, corpora, calibration, playback and its integrity."""
