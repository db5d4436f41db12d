"""The boards of a station: the inventory of those that are there, and the locks that keep two users of one apart."""
