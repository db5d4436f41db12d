"""Bringing a trained model to its targets without training it anew."""
