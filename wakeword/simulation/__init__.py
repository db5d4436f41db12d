"""The simulated board: the device's frontend, a model under TFLM's arithmetic and ESPHome's decision logic, over
recordings.
"""
