"""Recordings: finding them, naming them by content, and keeping their features."""
