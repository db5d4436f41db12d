"""Text-to-speech engines behind one small protocol, and the texts that they speak."""
