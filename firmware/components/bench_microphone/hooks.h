// What micro_wake_word tells the bench's microphone: calls that are put into a copy of its source, beside what it computes (firmware/overlay.py).
#pragma once
#include "esphome/core/helpers.h"

#include <cstddef>
#include <cstdint>

namespace esphome::bench_microphone {

/// The ring buffer had no room for the chunk that the microphone hands over just now.
void refused();
/// The frontend has taken so many samples.
void heard(size_t samples);
/// The inference task comes for more: all that was heard is decided.
void decided();
/// Detection has stopped: what was accepted and not heard is lost.
void stopped();
/// The arena that a model was found to need, in bytes.
void probed(const uint8_t *model, size_t bytes);
/// The same, asked for; 0 where it was not loaded since the board started.
size_t arena(const uint8_t *model);
/// A model gave a probability; `model` is where its bytes begin.
void inferred(const uint8_t *model, uint8_t probability);
/// Samples of the stream that the frontend has taken.
int64_t position();
/// The main loop reports a detection that was decided at this position.
void reporting(int64_t position);
/// Position of the detection that is being reported.
int64_t detection_sample();

/// While the inference task throws away what the ring buffer holds: nothing is handed over meanwhile, so what is lost is known.
class Discarding {
 public:
  Discarding();
  ~Discarding();
  Discarding(const Discarding &) = delete;
  Discarding &operator=(const Discarding &) = delete;
};

}  // namespace esphome::bench_microphone
