"""Boards over a serial port: the port found, the image written and proven by esptool, and what the board says when it
starts.
"""
