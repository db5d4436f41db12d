"""Measuring a model on a board or in simulation, and reporting what was measured."""
