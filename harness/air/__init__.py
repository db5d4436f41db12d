"""Sound to a board through the air: what is settled before a session, and the player."""
