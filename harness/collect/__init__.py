"""What a board says, heard by ESPHome's native API: raw events on disk, two witnesses of every detection, the board's
clock.
"""
