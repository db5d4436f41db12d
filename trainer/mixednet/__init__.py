"""MixedNet: its configuration, its arithmetic of lengths, and its three graphs (training, sliding, streaming)."""
