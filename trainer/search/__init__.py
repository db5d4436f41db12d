"""A search over settings, augmentation and architecture, under a board's budget."""
