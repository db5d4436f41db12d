"""Trainings as the page Train shows them: the form of their settings, what it asks for, and the runs there are."""
