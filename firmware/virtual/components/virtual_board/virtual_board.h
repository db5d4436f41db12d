#pragma once
#include "esphome/core/component.h"
#include "virtual_board/inference.h"

#include <cstdint>

namespace esphome::virtual_board {

/// The port in $MWW_API_PORT, $MWW_OTA_PORT or $MWW_MICROPHONE_PORT, or the configured one: several virtual boards run beside one another.
uint16_t api_port(uint16_t configured);
uint16_t ota_port(uint16_t configured);
uint16_t microphone_port(uint16_t configured);

class VirtualBoard : public Component {
 public:
  void setup() override;
  void dump_config() override;
  float get_setup_priority() const override { return setup_priority::BUS; }
};

}  // namespace esphome::virtual_board
