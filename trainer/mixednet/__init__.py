"""MixedNet: its arithmetic of lengths, its graphs (training window, streaming), and the faster order of both for steps
and recordings.
"""
