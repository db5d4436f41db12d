"""Boards: what a session asks of one, the inventory of those that are there, and the locks that keep two sessions apart."""
