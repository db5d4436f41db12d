"""What a board's own microphone hears, kept on this machine: recordings, and seconds around each detection."""
