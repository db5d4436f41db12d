#include "stream_clock.h"
#include "hooks.h"

#include "esphome/core/application.h"

#include <algorithm>

namespace esphome::bench_microphone {

static int64_t reported_position = -1;  // of the main loop alone

StreamClock &stream_clock() {
  static auto *clock = new StreamClock;  // never destroyed: tasks use it until the program ends
  return *clock;
}

void StreamClock::setup() { this->changed_ = xEventGroupCreate(); }

void StreamClock::begin() {
  LockGuard guard(this->mutex_);
  this->losses_.clear();
  // What micro_wake_word still holds of an older stream lies in front of this one.
  this->position_ = -int64_t(this->accepted_ - this->consumed_);
  this->decided_ = this->handed_over_position_ = 0;
  this->refused_samples_ = 0;
  this->refused_at_ = -1;
  this->traces_.assign(this->models_.size(), Trace{});
}

void StreamClock::handed_over_(size_t samples) {
  if (this->chunk_refused_) {
    this->lose_(int64_t(samples));
    if (!this->losses_.empty() && this->losses_.back().after == this->accepted_)
      this->losses_.back().samples += int64_t(samples);  // nothing between them was accepted
    else
      this->losses_.push_back({this->accepted_, int64_t(samples)});
  } else {
    this->accepted_ += samples;
  }
  this->ever_ += int64_t(samples);
  this->handed_over_position_ += int64_t(samples);
}

void StreamClock::lose_(int64_t samples) {
  this->refused_samples_ = uint32_t(std::min<int64_t>(int64_t(this->refused_samples_) + samples, UINT32_MAX));
  this->refused_at_ = this->handed_over_position_;
}

void StreamClock::advance_(uint64_t consumed) {
  // What was lost lies before the next sample that is heard, not behind the last one.
  while (!this->losses_.empty() && this->losses_.front().after < consumed) {
    this->position_ += this->losses_.front().samples;
    this->losses_.pop_front();
  }
  this->position_ += int64_t(consumed - this->consumed_);
  this->consumed_ = consumed;
}

void StreamClock::heard(size_t samples) {
  {
    LockGuard guard(this->mutex_);
    this->advance_(this->consumed_ + samples);
  }
  if (this->changed_ != nullptr)
    xEventGroupSetBits(this->changed_, PROGRESS);
}

void StreamClock::decided() {
  bool all;
  {
    LockGuard guard(this->mutex_);
    // Nothing is left: what was handed over and never heard was lost when the ring buffer was full.
    all = this->consumed_ == this->accepted_;
    const int64_t now = all ? this->handed_over_position_ : this->position_;
    if (now <= this->decided_)
      return;
    this->decided_ = now;
  }
  if (all)
    App.wake_loop_threadsafe();  // a client may wait for it
}

void StreamClock::end_discarding() {
  this->lose_(int64_t(this->accepted_ - this->consumed_));
  this->advance_(this->accepted_);
  this->mutex_.unlock();
}

void StreamClock::stopped() {
  LockGuard guard(this->mutex_);
  if (this->accepted_ == this->consumed_)
    return;
  this->lose_(int64_t(this->accepted_ - this->consumed_));
  this->advance_(this->accepted_);
  this->decided_ = std::max(this->decided_, this->position_);
}

void StreamClock::inferred(const uint8_t *model, uint8_t probability) {
  LockGuard guard(this->mutex_);
  const auto found = std::find(this->models_.begin(), this->models_.end(), model);
  const auto index = size_t(found - this->models_.begin());
  // A model that came after the stream had begun has no trace in it; after a loss the inferences are of other slices: their numbers would tell nothing.
  if (index >= this->traces_.size() || this->refused_samples_ > 0)
    return;
  this->traces_[index].values.push_back(probability);
}

void StreamClock::probed(const uint8_t *model, size_t bytes) {
  LockGuard guard(this->mutex_);
  this->arenas_[model] = bytes;
}

size_t StreamClock::arena(const uint8_t *model) {
  LockGuard guard(this->mutex_);
  const auto found = this->arenas_.find(model);
  return found == this->arenas_.end() ? 0 : found->second;
}

Trace StreamClock::take(size_t model) {
  LockGuard guard(this->mutex_);
  if (model >= this->traces_.size())
    return {};
  Trace taken = this->traces_[model];
  this->traces_[model].first += uint32_t(taken.values.size());
  this->traces_[model].values.clear();
  return taken;
}

int64_t StreamClock::ever() {
  LockGuard guard(this->mutex_);
  return this->ever_;
}

size_t StreamClock::waiting() {
  LockGuard guard(this->mutex_);
  return size_t(this->accepted_ - this->consumed_);
}

size_t StreamClock::pending_probabilities() {
  LockGuard guard(this->mutex_);
  size_t pending = 0;
  for (const Trace &trace : this->traces_)
    pending += trace.values.size();
  return pending;
}

Moment StreamClock::moment() {
  LockGuard guard(this->mutex_);
  return {this->handed_over_position_, this->decided_, this->refused_samples_, this->refused_at_};
}

int64_t StreamClock::position() {
  LockGuard guard(this->mutex_);
  return this->position_;
}

void refused() { stream_clock().refused(); }
void heard(size_t samples) { stream_clock().heard(samples); }
void decided() { stream_clock().decided(); }
void stopped() { stream_clock().stopped(); }
void probed(const uint8_t *model, size_t bytes) { stream_clock().probed(model, bytes); }
size_t arena(const uint8_t *model) { return stream_clock().arena(model); }
void inferred(const uint8_t *model, uint8_t probability) { stream_clock().inferred(model, probability); }
int64_t position() { return stream_clock().position(); }
void reporting(int64_t position) { reported_position = position; }
int64_t detection_sample() { return reported_position; }

Discarding::Discarding() { stream_clock().begin_discarding(); }
Discarding::~Discarding() { stream_clock().end_discarding(); }

}  // namespace esphome::bench_microphone
