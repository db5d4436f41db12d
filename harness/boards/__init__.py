"""Boards: what a session asks of one, and the two kinds that there are. The inventory and its locks are in `firmware.boards`."""
