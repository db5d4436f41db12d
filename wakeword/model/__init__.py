"""A wake-word model as files: the .tflite flatbuffer, its V2 manifest, the contract check and the arena."""
