"""Corpora described in YAML: which recordings, how loud, over which noise; and their rendering into what is played."""
