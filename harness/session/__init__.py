"""A session with a board: schedule -> audio -> raw events -> result.

Its folder describes it, and a killed one goes on.
"""
