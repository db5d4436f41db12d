// The virtual board's own microphone: interleaved frames of two int16, as they come through the Unix socket in $MWW_ROOM, which the harness fills at the
// speed that it wants. It calls itself 16 kHz, as a board's does whatever its clock is.
#pragma once
#include "esphome/components/microphone/microphone.h"
#include "esphome/core/component.h"

#include <atomic>
#include <mutex>

namespace esphome::virtual_board {

class RoomMicrophone : public microphone::Microphone, public Component {
 public:
  void setup() override;
  void start() override;
  void stop() override;

 protected:
  void hear_();

  std::atomic<bool> running_{false};
  std::mutex mutex_;
  int line_{-1};
};

}  // namespace esphome::virtual_board
