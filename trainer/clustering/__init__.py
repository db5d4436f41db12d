"""Who speaks in which file: voices as vectors, groups of them, and files moved into a folder a speaker."""
