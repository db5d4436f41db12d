// ESPHome's StaticTask on a C++ thread. Stack size, priority and PSRAM have no meaning here.
#pragma once
#include <atomic>
#include <thread>

#include "freertos/FreeRTOS.h"

namespace esphome {

class StaticTask {
 public:
  StaticTask() = default;
  StaticTask(const StaticTask &) = delete;
  StaticTask &operator=(const StaticTask &) = delete;

  bool is_created() const { return this->thread_ != nullptr; }
  TaskHandle_t get_handle() const { return this->thread_; }

  bool create(TaskFunction_t function, const char *, uint32_t, void *parameter, UBaseType_t, bool) {
    if (this->thread_ != nullptr)
      return false;
    this->finished_ = false;
    this->thread_ = new std::thread([this, function, parameter] {
      function(parameter);
      this->finished_ = true;
    });
    return true;
  }

  /// True when the task has ended and was freed; false to try again later, as on a board whose other core still runs it.
  bool deallocate() {
    if (this->thread_ == nullptr)
      return true;
    if (!this->finished_)
      return false;
    this->thread_->join();
    delete this->thread_;
    this->thread_ = nullptr;
    return true;
  }
  bool destroy() { return this->deallocate(); }

 protected:
  std::thread *thread_{nullptr};
  std::atomic<bool> finished_{false};
};

}  // namespace esphome
