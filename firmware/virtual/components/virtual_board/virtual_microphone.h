#pragma once
#include "esphome/components/microphone/microphone.h"
#include "esphome/core/component.h"

#include <atomic>
#include <string>
#include <vector>

namespace esphome::virtual_board {

/// A microphone whose sound comes over the Unix socket $MWW_AUDIO_SOCKET.
///
/// The harness connects and sends a header, then 16 kHz mono 16-bit PCM:
///   char magic[8] = "MWWAUDIO", double pace, int64 position (in samples) of the first sample.
/// Pace 0: as fast as the board takes it, nothing is lost. Pace p: a chunk every 16 ms / p whether the board took the last one or not, as a
/// real microphone does; the ring buffer may overflow. The first 200 ms wait all the same, while the board loads its models, and the pace
/// begins when it has caught up with them. The board answers with int64 pairs: samples handed over, samples done with.
class VirtualMicrophone : public microphone::Microphone, public Component {
 public:
  void setup() override;
  void dump_config() override;
  float get_setup_priority() const override { return setup_priority::DATA; }
  void start() override;
  void stop() override;

 protected:
  void serve_();
  void hear_(int client);
  bool wait_for_room_(int client, size_t bytes);

  std::string path_;
  int listener_{-1};
  std::atomic<bool> running_{false};
};

}  // namespace esphome::virtual_board
