"""ESPHome microphone platform `bench_microphone`: 16 kHz mono PCM over TCP, for whoever has the key; and back to the
same what the board's own microphone hears.
"""

import esphome.codegen as cg
import esphome.config_validation as cv
from esphome.components import audio, microphone, socket
from esphome.components.noise import new_psk_progmem, validate_encryption_key
from esphome.const import CONF_ID, CONF_KEY, CONF_PORT

from . import bench_microphone_ns

AUTO_LOAD = ["audio", "hmac_sha256", "ring_buffer", "socket"]
DEPENDENCIES = ["micro_wake_word"]

CONF_BUFFER = "buffer"
CONF_HEARS = "hears"

BenchMicrophone = bench_microphone_ns.class_("BenchMicrophone", microphone.Microphone, cg.Component)


def _limits(config):
    audio.set_stream_limits(
        min_bits_per_sample=16,
        max_bits_per_sample=16,
        min_channels=1,
        max_channels=1,
        min_sample_rate=16000,
        max_sample_rate=16000,
    )(config)
    return config


CONFIG_SCHEMA = cv.All(
    microphone.MICROPHONE_SCHEMA.extend(
        {
            cv.GenerateID(): cv.declare_id(BenchMicrophone),
            cv.Required(CONF_KEY): cv.sensitive(validate_encryption_key),
            cv.Optional(CONF_PORT, default=6055): cv.port,
            # Sound that waits on the board: the longest gap of the network that real time survives. In less than 300 ms
            # the first sound of a stream at a pace and a message have no room together (bench_microphone.cpp).
            cv.Optional(CONF_BUFFER, default="1s"): cv.All(
                cv.positive_time_period_milliseconds,
                cv.Range(min=cv.TimePeriod(milliseconds=300), max=cv.TimePeriod(seconds=30)),
            ),
            # What the board hears with when nothing is played: told to a client that asks for it.
            cv.Optional(CONF_HEARS): microphone.microphone_source_schema(),
        }
    ).extend(cv.COMPONENT_SCHEMA),
    _limits,
    # The client, and one more that is told that the microphone is taken.
    socket.consume_sockets(2, "bench_microphone"),
    socket.consume_sockets(1, "bench_microphone", socket.SocketType.TCP_LISTEN),
)

FINAL_VALIDATE_SCHEMA = cv.Schema(
    {
        cv.Optional(CONF_HEARS): microphone.final_validate_microphone_source_schema(
            "bench_microphone", sample_rate=16000
        ),
    },
    extra=cv.ALLOW_EXTRA,
)


async def to_code(config):
    var = cg.new_Pvariable(config[CONF_ID])
    await cg.register_component(var, config)
    await microphone.register_microphone(var, config)
    cg.add(var.set_port(config[CONF_PORT]))
    cg.add(var.set_buffer_ms(config[CONF_BUFFER].total_milliseconds))
    if CONF_HEARS in config:
        cg.add(var.set_source(await microphone.microphone_source_to_code(config[CONF_HEARS])))
    cg.add(var.set_key(new_psk_progmem(config[CONF_KEY])))
