"""The one runner of a model over recordings: training validates, an export chooses, evaluation, mining and tuning
measure by it.
"""
