"""Training in steps and phases: batches, the step, checkpoints, the loop."""
