"""From trained weights to what a device loads: the int8 streaming model, its agreement with the float one, its
manifest.
"""
