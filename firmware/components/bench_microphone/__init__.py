"""ESPHome component: a microphone that hears what a bench plays over the network, see bench_microphone.h.

Run by ESPHome while it generates a firmware, never imported by this project.
"""

import esphome.codegen as cg

CODEOWNERS: list[str] = []

bench_microphone_ns = cg.esphome_ns.namespace("bench_microphone")
