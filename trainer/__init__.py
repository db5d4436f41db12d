"""Recordings to an int8 streaming model and its ESPHome manifest. The only package that imports TensorFlow."""
