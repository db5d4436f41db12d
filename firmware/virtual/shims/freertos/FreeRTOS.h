// What ESPHome's micro_wake_word, audio and ring_buffer use of FreeRTOS, on C++ threads.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <vector>

using TickType_t = uint32_t;
using BaseType_t = int;
using UBaseType_t = unsigned;
using TaskFunction_t = void (*)(void *);
using TaskHandle_t = void *;
using EventBits_t = uint32_t;

constexpr BaseType_t pdTRUE = 1;
constexpr BaseType_t pdFALSE = 0;
constexpr BaseType_t pdPASS = 1;
constexpr TickType_t portMAX_DELAY = 0xffffffffu;
constexpr TickType_t pdMS_TO_TICKS(TickType_t milliseconds) { return milliseconds; }  // a tick is a millisecond

// Reached at the end of the inference task, which then returns, and when an update over the air starts, which replaces the process.
inline void vTaskSuspend(TaskHandle_t) {}
inline void vTaskResume(TaskHandle_t) {}

namespace esphome::virtual_board {

/// Wait for `ready` as FreeRTOS calls do: for ever, or so many ticks. Returns whether it came true.
template<typename Ready>
bool wait_ticks(std::condition_variable &changed, std::unique_lock<std::mutex> &lock, TickType_t ticks, Ready ready) {
  if (ticks == portMAX_DELAY) {
    changed.wait(lock, ready);
    return true;
  }
  return changed.wait_for(lock, std::chrono::milliseconds(ticks), ready);
}

struct EventGroup {
  std::mutex mutex;
  std::condition_variable changed;
  EventBits_t bits{0};
};

struct Queue {
  std::mutex mutex;
  std::condition_variable changed;
  size_t length;
  size_t item_size;
  std::deque<std::vector<uint8_t>> items;
};

}  // namespace esphome::virtual_board

using EventGroupHandle_t = esphome::virtual_board::EventGroup *;
using QueueHandle_t = esphome::virtual_board::Queue *;

// --- event groups

inline EventGroupHandle_t xEventGroupCreate() { return new esphome::virtual_board::EventGroup; }

inline EventBits_t xEventGroupGetBits(EventGroupHandle_t group) {
  std::lock_guard<std::mutex> lock(group->mutex);
  return group->bits;
}

inline EventBits_t xEventGroupSetBits(EventGroupHandle_t group, EventBits_t bits) {
  std::lock_guard<std::mutex> lock(group->mutex);
  group->bits |= bits;
  group->changed.notify_all();
  return group->bits;
}

inline EventBits_t xEventGroupClearBits(EventGroupHandle_t group, EventBits_t bits) {
  std::lock_guard<std::mutex> lock(group->mutex);
  const EventBits_t before = group->bits;
  group->bits &= ~bits;
  return before;
}

inline EventBits_t xEventGroupWaitBits(EventGroupHandle_t group, EventBits_t bits, BaseType_t clear, BaseType_t all, TickType_t ticks) {
  std::unique_lock<std::mutex> lock(group->mutex);
  const bool came = esphome::virtual_board::wait_ticks(group->changed, lock, ticks, [&] {
    return all ? (group->bits & bits) == bits : (group->bits & bits) != 0;
  });
  const EventBits_t result = group->bits;
  if (came && clear)
    group->bits &= ~bits;
  return result;
}

// --- queues

inline QueueHandle_t xQueueCreate(UBaseType_t length, UBaseType_t item_size) {
  auto *queue = new esphome::virtual_board::Queue;
  queue->length = length;
  queue->item_size = item_size;
  return queue;
}

inline BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t ticks) {
  std::unique_lock<std::mutex> lock(queue->mutex);
  if (!esphome::virtual_board::wait_ticks(queue->changed, lock, ticks, [&] { return queue->items.size() < queue->length; }))
    return pdFALSE;
  const auto *bytes = static_cast<const uint8_t *>(item);
  queue->items.emplace_back(bytes, bytes + queue->item_size);
  queue->changed.notify_all();
  return pdTRUE;
}

inline BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t ticks) {
  std::unique_lock<std::mutex> lock(queue->mutex);
  if (!esphome::virtual_board::wait_ticks(queue->changed, lock, ticks, [&] { return !queue->items.empty(); }))
    return pdFALSE;
  std::memcpy(item, queue->items.front().data(), queue->item_size);
  queue->items.pop_front();
  queue->changed.notify_all();
  return pdTRUE;
}

inline BaseType_t xQueueReset(QueueHandle_t queue) {
  std::lock_guard<std::mutex> lock(queue->mutex);
  queue->items.clear();
  queue->changed.notify_all();
  return pdPASS;
}
