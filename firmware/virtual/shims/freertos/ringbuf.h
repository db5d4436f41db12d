// ESP-IDF's byte ring buffer (RINGBUF_TYPE_BYTEBUF): sends are whole or refused, reads are contiguous up to the wrap, one item is out at a time.
#pragma once
#include <algorithm>

#include "FreeRTOS.h"

enum { RINGBUF_TYPE_BYTEBUF = 2 };

struct StaticRingbuffer_t {
  std::mutex mutex;
  std::condition_variable changed;
  uint8_t *storage;
  size_t size;
  size_t read;   // offset of the oldest byte
  size_t used;   // bytes stored, those of the item that is out included
  size_t taken;  // bytes of the item that is out
};
using RingbufHandle_t = StaticRingbuffer_t *;

inline RingbufHandle_t xRingbufferCreateStatic(size_t size, int, uint8_t *storage, StaticRingbuffer_t *ring) {
  ring->storage = storage;
  ring->size = size;
  ring->read = ring->used = ring->taken = 0;
  return ring;
}

inline void vRingbufferDelete(RingbufHandle_t) {}

inline BaseType_t xRingbufferSend(RingbufHandle_t ring, const void *data, size_t bytes, TickType_t ticks) {
  std::unique_lock<std::mutex> lock(ring->mutex);
  if (bytes > ring->size ||
      !esphome::virtual_board::wait_ticks(ring->changed, lock, ticks, [&] { return ring->size - ring->used >= bytes; }))
    return pdFALSE;
  const size_t write = (ring->read + ring->used) % ring->size;
  const size_t before_wrap = std::min(bytes, ring->size - write);
  std::memcpy(ring->storage + write, data, before_wrap);
  std::memcpy(ring->storage, static_cast<const uint8_t *>(data) + before_wrap, bytes - before_wrap);
  ring->used += bytes;
  ring->changed.notify_all();
  return pdTRUE;
}

inline void *xRingbufferReceiveUpTo(RingbufHandle_t ring, size_t *got, TickType_t ticks, size_t most) {
  std::unique_lock<std::mutex> lock(ring->mutex);
  if (most == 0 ||
      !esphome::virtual_board::wait_ticks(ring->changed, lock, ticks, [&] { return ring->used > 0 && ring->taken == 0; }))
    return nullptr;
  *got = ring->taken = std::min({ring->used, most, ring->size - ring->read});
  return ring->storage + ring->read;
}

inline void vRingbufferReturnItem(RingbufHandle_t ring, void *) {
  std::lock_guard<std::mutex> lock(ring->mutex);
  ring->read = (ring->read + ring->taken) % ring->size;
  ring->used -= ring->taken;
  ring->taken = 0;
  ring->changed.notify_all();
}

inline void vRingbufferGetInfo(RingbufHandle_t ring, UBaseType_t *, UBaseType_t *, UBaseType_t *, UBaseType_t *, UBaseType_t *waiting) {
  std::lock_guard<std::mutex> lock(ring->mutex);
  *waiting = ring->used - ring->taken;
}

inline size_t xRingbufferGetCurFreeSize(RingbufHandle_t ring) {
  std::lock_guard<std::mutex> lock(ring->mutex);
  return ring->size - ring->used;
}
