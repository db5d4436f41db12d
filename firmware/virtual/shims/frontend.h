// The frontend is pymicro-features' own C source, unchanged. Only its calls are counted, for the audio clock.
#pragma once
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"

#include "freertos/ringbuf.h"

namespace esphome::virtual_board {

inline FrontendOutput process_samples(FrontendState *state, const int16_t *samples, size_t count, size_t *processed) {
  const FrontendOutput output = FrontendProcessSamples(state, samples, count, processed);
  auto &clock = audio_clock();
  std::lock_guard<std::mutex> lock(clock.mutex);
  StaticRingbuffer_t *ring = current_ring();
  const auto *bytes = reinterpret_cast<const uint8_t *>(samples);
  if (ring != nullptr && ring->taken > 0 && bytes >= ring->storage + ring->read && bytes < ring->storage + ring->read + ring->taken)
    clock.heard = ring->taken_position + int64_t((bytes - (ring->storage + ring->read)) / BYTES_PER_SAMPLE + *processed);
  else
    clock.heard += int64_t(*processed);
  return output;
}

}  // namespace esphome::virtual_board

#define FrontendProcessSamples esphome::virtual_board::process_samples
