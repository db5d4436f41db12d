"""ESPHome firmware around a model: project, build, flash; and the boards that it goes to.

Stands on `wakeword.model`.
"""
