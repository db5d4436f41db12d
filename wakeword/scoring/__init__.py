"""Events against truth: matching, rates with their intervals, DET curves. Components first, rates last."""
