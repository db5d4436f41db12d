"""A simulated ESP32-S3 for the real esptool: its ROM loader, the flasher stub's commands, its flash, and a boot from
it, over a pty, rfc2217 or a socket.

Nothing of it knows of this project's code: what it takes is what esptool and ESP-IDF's documentation of the serial
protocol send.
"""
