"""ESPHome firmware around a model: project, build, flash. Stands on `wakeword.model`."""
