// The virtual board's audio clock: which sample of the stream the frontend has heard, and which it has decided on.
//
// A real board's detections have a wall-clock time only. Here audio may run faster than real time, so a detection carries the
// position in the stream at which it was made. Positions count samples from the start of the stream that the harness feeds.
//
// One mutex and one condition variable serve the ring buffer and the clock: the two threads that use them meet every 10 ms of audio.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace esphome::virtual_board {

struct AudioClock {
  std::mutex mutex;
  std::condition_variable changed;
  // Position of the chunk that the microphone hands over next; set by the microphone before it calls its listeners.
  int64_t chunk_position{0};
  // Samples that the microphone gave away, whether the ring buffer had room for them or not.
  std::atomic<int64_t> handed_over{0};
  // Samples that went into the frontend.
  std::atomic<int64_t> heard{0};
  // Samples that are done with: their slices were inferred and decided, or they were lost. The inference task came back for more.
  std::atomic<int64_t> decided{0};
  // Position of the detection that the main loop took from the queue last.
  std::atomic<int64_t> detection{-1};
};

inline AudioClock &audio_clock() {
  static auto *clock = new AudioClock;  // never destroyed: threads use it until the process ends
  return *clock;
}

/// Stream position, in samples, of the detection that is being reported.
inline int64_t detection_sample() { return audio_clock().detection; }

}  // namespace esphome::virtual_board
