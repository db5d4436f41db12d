"""Sound out of a loudspeaker and into a microphone without a gap, and the proof that there was none."""
