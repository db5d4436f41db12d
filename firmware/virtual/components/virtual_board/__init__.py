"""ESPHome component of the virtual board: inference over a Unix socket, ports chosen when the program starts.

Run by ESPHome while it generates the `host` program, never imported by this project.
"""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.const import CONF_ID

CODEOWNERS: list[str] = []

virtual_board_ns = cg.esphome_ns.namespace("virtual_board")
VirtualBoard = virtual_board_ns.class_("VirtualBoard", cg.Component)

CONFIG_SCHEMA = cv.Schema({cv.GenerateID(): cv.declare_id(VirtualBoard)}).extend(cv.COMPONENT_SCHEMA)


async def to_code(config):
    var = cg.new_Pvariable(config[CONF_ID])
    await cg.register_component(var, config)
