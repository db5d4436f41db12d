"""ESPHome microphone platform `virtual_board`: what the virtual board's room holds, two channels of 16 bits.

Run by ESPHome while it generates the `host` program, never imported by this project.
"""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.components import audio, microphone
from esphome.const import CONF_ID

from . import virtual_board_ns

RoomMicrophone = virtual_board_ns.class_("RoomMicrophone", microphone.Microphone, cg.Component)


def _limits(config):
    audio.set_stream_limits(
        min_bits_per_sample=16,
        max_bits_per_sample=16,
        min_channels=2,
        max_channels=2,
        min_sample_rate=16000,
        max_sample_rate=16000,
    )(config)
    return config


CONFIG_SCHEMA = cv.All(
    microphone.MICROPHONE_SCHEMA.extend({cv.GenerateID(): cv.declare_id(RoomMicrophone)}).extend(cv.COMPONENT_SCHEMA),
    _limits,
)


async def to_code(config):
    var = cg.new_Pvariable(config[CONF_ID])
    await cg.register_component(var, config)
    await microphone.register_microphone(var, config)
