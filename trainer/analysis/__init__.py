"""What a model will cost on a board, before it is trained."""
