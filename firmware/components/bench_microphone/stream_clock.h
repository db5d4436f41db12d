// Which sample of the stream is where: handed over, heard by the frontend, decided; and the probabilities that nobody has fetched yet.
#pragma once
#include "esphome/core/helpers.h"

#include <freertos/FreeRTOS.h>
#include <freertos/event_groups.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

namespace esphome::bench_microphone {

/// Probabilities of a model that follow one another.
struct Trace {
  uint32_t first{0};  // number of the first one since the stream began
  std::vector<uint8_t> values;
};

struct Moment {
  int64_t handed_over{0};
  int64_t decided{0};
  uint32_t refused{0};      // samples that the ring buffer had no room for, or that were thrown away for that
  int64_t refused_at{-1};   // position of the last of them
};

/// Positions count samples from the start of the stream that a client plays. Called from the microphone's, the inference and the main task.
class StreamClock {
 public:
  static constexpr EventBits_t PROGRESS = 1 << 0;

  void setup();
  EventGroupHandle_t changed() const { return this->changed_; }

  void add_model(const uint8_t *model) {
    LockGuard guard(this->mutex_);
    this->models_.push_back(model);
  }
  size_t models() const { return this->models_.size(); }

  /// A new stream.
  void begin();
  /// Samples that were ever handed over: 0 means that the board's state is that after boot.
  int64_t ever();

  /// Hand over a chunk by `call`, which must not block.
  template<typename Call> void hand_over(size_t samples, Call call) {
    LockGuard guard(this->mutex_);
    this->chunk_refused_ = false;
    call();
    this->handed_over_(samples);
  }
  /// Samples that were accepted and not yet heard.
  size_t waiting();
  size_t pending_probabilities();

  Moment moment();
  /// What a model gave since the last call; empty where there is nothing.
  Trace take(size_t model);

  // What hooks.h tells.
  void refused() { this->chunk_refused_ = true; }  // within hand_over
  void heard(size_t samples);
  void decided();
  void stopped();
  void probed(const uint8_t *model, size_t bytes);
  size_t arena(const uint8_t *model);
  void inferred(const uint8_t *model, uint8_t probability);
  int64_t position();
  void begin_discarding() { this->mutex_.lock(); }
  void end_discarding();

 protected:
  struct Loss {
    uint64_t after;  // accepted samples before it
    int64_t samples;
  };
  void handed_over_(size_t samples);
  void advance_(uint64_t consumed);
  void lose_(int64_t samples);

  Mutex mutex_;
  EventGroupHandle_t changed_{nullptr};
  std::vector<const uint8_t *> models_;
  std::vector<Trace> traces_;
  std::map<const uint8_t *, size_t> arenas_;
  std::deque<Loss> losses_;
  int64_t ever_{0};
  int64_t position_{0};     // of what was heard last
  int64_t decided_{0};
  uint64_t accepted_{0};
  uint64_t consumed_{0};
  int64_t handed_over_position_{0};
  uint32_t refused_samples_{0};
  int64_t refused_at_{-1};
  bool chunk_refused_{false};
};

StreamClock &stream_clock();

}  // namespace esphome::bench_microphone
