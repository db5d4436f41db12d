#include "virtual_board.h"

#include "esphome/core/log.h"

#include <cerrno>
#include <cstdlib>
#include <thread>
#include <unistd.h>

namespace esphome::virtual_board {

static const char *const TAG = "virtual_board";

static uint16_t port_of(const char *variable, uint16_t configured) {
  const char *value = std::getenv(variable);
  return value == nullptr ? configured : static_cast<uint16_t>(std::strtoul(value, nullptr, 10));
}

uint16_t api_port(uint16_t configured) { return port_of("MWW_API_PORT", configured); }
uint16_t ota_port(uint16_t configured) { return port_of("MWW_OTA_PORT", configured); }
uint16_t microphone_port(uint16_t configured) { return port_of("MWW_MICROPHONE_PORT", configured); }

void VirtualBoard::setup() {
  if (std::getenv("MWW_OWNED") == nullptr)
    return;
  // Standard input is a pipe that the owner holds open: a board does not outlive its harness, however that ends.
  std::thread([] {
    char ignored[64];
    ssize_t got;
    do {
      got = ::read(STDIN_FILENO, ignored, sizeof ignored);
    } while (got > 0 || (got < 0 && errno == EINTR));
    std::_Exit(1);
  }).detach();
}

void VirtualBoard::dump_config() { ESP_LOGCONFIG(TAG, "Virtual board: ESPHome's detection code on Linux with TFLM reference kernels"); }

}  // namespace esphome::virtual_board
