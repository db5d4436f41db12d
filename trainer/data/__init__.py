"""From texts and recordings to training features: generate, ingest, split, features."""
