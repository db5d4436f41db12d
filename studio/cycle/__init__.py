"""From a phrase to a report: the project's commands in a row."""
