// ESP-IDF's byte ring buffer (RINGBUF_TYPE_BYTEBUF): sends are whole or refused, reads are contiguous up to the wrap, one item is out at a time.
//
// Each stretch of bytes remembers its position in the stream, so that the audio clock stays right when chunks were refused or discarded.
#pragma once
#include <algorithm>
#include <new>

#include "FreeRTOS.h"

enum { RINGBUF_TYPE_BYTEBUF = 2 };

struct StaticRingbuffer_t {
  struct Stretch {
    int64_t position;  // in samples
    size_t bytes;
  };
  uint8_t *storage;
  size_t size;
  size_t read;   // offset of the oldest byte
  size_t used;   // bytes stored, those of the item that is out included
  size_t taken;  // bytes of the item that is out
  int64_t taken_position;
  std::deque<Stretch> stretches;
};
using RingbufHandle_t = StaticRingbuffer_t *;

namespace esphome::virtual_board {

constexpr size_t BYTES_PER_SAMPLE = 2;

/// The ring buffer between microphone and inference task; null while detection is stopped. Guarded by the audio clock's mutex.
inline StaticRingbuffer_t *&current_ring() {
  static StaticRingbuffer_t *ring = nullptr;
  return ring;
}

}  // namespace esphome::virtual_board

inline RingbufHandle_t xRingbufferCreateStatic(size_t size, int, uint8_t *storage, StaticRingbuffer_t *ring) {
  std::lock_guard<std::mutex> lock(esphome::virtual_board::audio_clock().mutex);
  ring->storage = storage;
  ring->size = size;
  ring->read = ring->used = ring->taken = 0;
  ring->stretches.clear();
  esphome::virtual_board::current_ring() = ring;
  return ring;
}

inline void vRingbufferDelete(RingbufHandle_t ring) {
  auto &clock = esphome::virtual_board::audio_clock();
  std::lock_guard<std::mutex> lock(clock.mutex);
  if (esphome::virtual_board::current_ring() == ring)
    esphome::virtual_board::current_ring() = nullptr;
  clock.changed.notify_all();
}

inline BaseType_t xRingbufferSend(RingbufHandle_t ring, const void *data, size_t bytes, TickType_t ticks) {
  auto &clock = esphome::virtual_board::audio_clock();
  std::unique_lock<std::mutex> lock(clock.mutex);
  if (bytes > ring->size || !esphome::virtual_board::wait_ticks(clock.changed, lock, ticks, [&] { return ring->size - ring->used >= bytes; }))
    return pdFALSE;
  const size_t write = (ring->read + ring->used) % ring->size;
  const size_t before_wrap = std::min(bytes, ring->size - write);
  std::memcpy(ring->storage + write, data, before_wrap);
  std::memcpy(ring->storage, static_cast<const uint8_t *>(data) + before_wrap, bytes - before_wrap);
  ring->used += bytes;
  auto &stretches = ring->stretches;
  const int64_t position = clock.chunk_position;
  if (!stretches.empty() && stretches.back().position + int64_t(stretches.back().bytes / esphome::virtual_board::BYTES_PER_SAMPLE) == position)
    stretches.back().bytes += bytes;
  else
    stretches.push_back({position, bytes});
  clock.changed.notify_all();
  return pdTRUE;
}

inline void *xRingbufferReceiveUpTo(RingbufHandle_t ring, size_t *got, TickType_t ticks, size_t most) {
  auto &clock = esphome::virtual_board::audio_clock();
  std::unique_lock<std::mutex> lock(clock.mutex);
  // The task comes for more when all it had is decided.
  clock.decided = std::max(clock.decided.load(), clock.heard.load());
  clock.changed.notify_all();
  if (most == 0 || !esphome::virtual_board::wait_ticks(clock.changed, lock, ticks, [&] { return ring->used > 0 && ring->taken == 0; })) {
    // Nothing is left: what was handed over and never heard was lost when the buffer was full.
    if (ring->used == 0)
      clock.decided = clock.handed_over.load();
    return nullptr;
  }
  const auto &oldest = ring->stretches.front();
  *got = ring->taken = std::min({ring->used, most, ring->size - ring->read, oldest.bytes});
  ring->taken_position = oldest.position;
  return ring->storage + ring->read;
}

inline void vRingbufferReturnItem(RingbufHandle_t ring, void *) {
  auto &clock = esphome::virtual_board::audio_clock();
  std::lock_guard<std::mutex> lock(clock.mutex);
  auto &oldest = ring->stretches.front();
  oldest.position += ring->taken / esphome::virtual_board::BYTES_PER_SAMPLE;
  oldest.bytes -= ring->taken;
  if (oldest.bytes == 0)
    ring->stretches.pop_front();
  ring->read = (ring->read + ring->taken) % ring->size;
  ring->used -= ring->taken;
  ring->taken = 0;
  clock.changed.notify_all();
}

inline void vRingbufferGetInfo(RingbufHandle_t ring, UBaseType_t *, UBaseType_t *, UBaseType_t *, UBaseType_t *, UBaseType_t *waiting) {
  std::lock_guard<std::mutex> lock(esphome::virtual_board::audio_clock().mutex);
  *waiting = ring->used - ring->taken;
}

inline size_t xRingbufferGetCurFreeSize(RingbufHandle_t ring) {
  std::lock_guard<std::mutex> lock(esphome::virtual_board::audio_clock().mutex);
  return ring->size - ring->used;
}
