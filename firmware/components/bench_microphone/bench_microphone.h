// A microphone that hears what a bench plays over the network: 16 kHz mono int16, sample by sample, on an ESP32 and on Linux alike. Reversed, it tells the bench what the
// board's own microphone hears, while detection hears the same.
//
// One client at a time, which proves that it knows the key before anything is heard or told; the key itself is never sent. Each message of the client is
// signed, each of the board's is encrypted and signed. What is played, and a model that is delivered, are not encrypted. Who has not shown the key within 5 s, or when the next one comes,
// is turned away.
//
// Little-endian. At first the board says 24 bytes: "MWWB", version, status (0: welcome, 1: somebody else plays), 2 zeros, 16 random bytes.
//   client: 16 random bytes; HMAC-SHA256(key, "mww-bench client" + the board's bytes + the client's)
//   board:  status (0: welcome, 2: wrong key); HMAC-SHA256(key, "mww-bench board" + the same); i64 0: its state is that after boot; else samples that it was played
//           since, and models that were delivered, whether they were taken or not
// Then both take HMAC-SHA256(key, "mww-bench session" + the same) as the key of the session, and the client sends messages:
//   u8 type, u8 0, u16 bytes; the bytes; the first 16 bytes of HMAC-SHA256(session, u64 number of the message + all of it)
//   START {u32 pace in thousandths, 0: as fast as it is taken}, AUDIO {samples}, FLUSH, PING, RESTART, LISTEN,
//   DELIVER {u32 bytes of the model, u32 of its arena, u16 sliding window, u8 cutoff, u8 0, id, a zero, wake word}, MODEL {bytes of it}
// FLUSH says that no more comes for now. RESTART restarts the board, so that the next stream begins as after boot. LISTEN begins a stream of what the board's own microphone hears
// (where the firmware has one), in place of START. A client that says nothing for 10 s is gone; so is one whose sound nobody hears for 40 s. The board answers, without being asked:
//   u16 bytes; so many of ChaCha20-Poly1305 under HMAC-SHA256(key, "mww-bench answers" + the same), the nonce being 4 zeros and the u64 number of the message:
//   u8 type, u8 model, the content; 16 bytes of tag
//   PROGRESS {i64 handed over, i64 decided, u32 underruns, u32 samples that detection did not get, i64 position of the last underrun, i64 of the last of those samples}
//   PROBABILITIES {u32 number of the first inference; a uint8 an inference}
//   DELIVERED {u8 1: the model is there, enabled, and all others are disabled; 0: it is not, and the log says why; u8 its number in PROBABILITIES}
//   HEARD {i64 position of the first sample; i64 samples that the microphone gave since LISTEN, u32 the board's milliseconds when it gave the last of them; u32 of them lost
//   while the client did not fetch what it is told, u32 of them lost because detection was too slow; the samples}
// Once samples were lost to detection no more probabilities of the stream are told: its inferences are of other slices from there on.
// A model is delivered before a stream begins, which waits for DELIVERED, and gone when the board starts anew; nothing of it is written into the flash.
// At a pace a chunk is handed over every 16 ms / pace, whether micro_wake_word's ring buffer takes it or not, as a real microphone does; sound that does
// not come in time is an underrun. The first 200 ms wait all the same while the models are loaded, and the pace begins when they have caught up.
// What the own microphone hears waits on the board until detection takes it; where detection does not run, it is told all the same. Meanwhile PROGRESS comes every second at
// least, also where the microphone gives nothing. The board's log says when somebody begins to listen to the room, and when that ends.
#pragma once
#include "stream_clock.h"

#include "esphome/components/micro_wake_word/micro_wake_word.h"
#include "esphome/components/microphone/microphone.h"
#include "esphome/components/microphone/microphone_source.h"
#include "esphome/components/ring_buffer/ring_buffer.h"
#include "esphome/components/socket/socket.h"
#include "esphome/core/component.h"

#ifdef USE_HOST
#include "virtual_board/static_task.h"
#else
#include "esphome/core/static_task.h"
#endif

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <noise/protocol.h>

namespace esphome::bench_microphone {

using Digest = std::array<uint8_t, 32>;

class BenchMicrophone : public microphone::Microphone, public Component {
 public:
  void setup() override;
  void loop() override;
  void dump_config() override;
  float get_setup_priority() const override { return setup_priority::AFTER_WIFI + 1.0f; }  // before the API: who reaches that finds us
  void on_shutdown() override;

  void start() override;
  void stop() override;

  void set_port(uint16_t port) { this->port_ = port; }
  void set_buffer_ms(uint32_t milliseconds) { this->buffer_ms_ = milliseconds; }
  void set_key(const uint8_t *key) { this->key_ = key; }  // 32 bytes, kept by reference
  /// What the board itself hears with.
  void set_source(microphone::MicrophoneSource *source) { this->source_ = source; }
  /// What models are delivered to.
  void set_detection(micro_wake_word::MicroWakeWord *detection) { this->detection_ = detection; }
  /// Tell what was delivered since the last call: where its bytes are, and its window; hashes are computed anew then. Called from the main loop.
  void tell_delivered(std::vector<std::pair<const uint8_t *, size_t>> &bytes, std::vector<int> &windows, std::vector<std::string> &hashes);
  /// The model whose probabilities have this number in reports; in the order of the calls.
  void add_model(const uint8_t *model) { stream_clock().add_model(model); }

 protected:
  // The main loop: who may connect, and what the board tells.
  void accept_();
  void take_(std::unique_ptr<socket::Socket> client);
  void report_();
  void append_(uint8_t type, uint8_t model, const void *data, size_t bytes, const void *more = nullptr, size_t more_bytes = 0);
  void flush_();
  bool deliver_();

  // The link task: what the client says.
  static void link_task(void *self);
  void serve_();
  bool authenticate_();
  const char *listen_();  // why it ended
  void begin_model_(const uint8_t *content, size_t bytes);
  const char *read_model_(const uint8_t *content, size_t bytes);  // why it is not taken; nullptr where it is
  bool take_model_(const uint8_t *content, size_t bytes);
  void begin_(uint32_t pace);
  void wait_idle_();
  bool receive_(void *data, size_t bytes);
  bool write_(const void *data, size_t bytes);
  Digest sign_(const uint8_t *key, const char *text, const void *a, size_t a_bytes, const void *b, size_t b_bytes, const void *c = nullptr,
               size_t c_bytes = 0);

  // The feeding task: a chunk at a time to micro_wake_word.
  static void feed_task(void *self);
  void feed_();
  bool wait_(uint32_t milliseconds);
  bool client_is_behind_(bool ear);  // it does not fetch what it is told
  void tell_heard_(const std::vector<uint8_t> &chunk);

  // The task of the board's own microphone.
  void hear_(const std::vector<uint8_t> &data);

  const uint8_t *key_{nullptr};
  uint16_t port_{0};
  uint32_t buffer_ms_{0};

  std::unique_ptr<socket::ListenSocket> listener_;
  Mutex client_mutex_;  // of writing to, and closing, the client
  std::unique_ptr<socket::Socket> client_;
  bool proven_{false};  // it has shown the key
  std::unique_ptr<socket::Socket> next_;  // of the main loop alone: waits for the place of one that has not
  std::atomic<bool> taken_{false};     // a client is connected
  std::atomic<bool> playing_{false};   // it is authenticated and has started a stream
  std::atomic<bool> flushed_{false};   // no more comes for now
  std::atomic<bool> running_{false};   // micro_wake_word listens
  std::atomic<bool> restart_{false};
  std::atomic<bool> idle_{true};       // the feeding task has nothing of an older stream
  std::atomic<uint32_t> pace_{0};
  std::atomic<uint32_t> underruns_{0};
  std::atomic<uint32_t> last_input_{0};
  Mutex feed_mutex_;  // of beginning a stream, and throwing away what is left of one
  Mutex underrun_mutex_;
  int64_t underrun_at_{-1};
  Digest session_{};
  NoiseCipherState *answers_{nullptr};  // of the main loop, from the proof of the key until the client is gone

  micro_wake_word::MicroWakeWord *detection_{nullptr};
  struct Delivery {
    std::shared_ptr<micro_wake_word::ModelData> data;
    size_t received{0};
    uint32_t arena{0};
    uint16_t window{0};
    uint8_t cutoff{0};
    std::string id, wake_word;
  };
  Delivery delivery_;                      // of the link task until it is complete, then of the main loop
  std::atomic<bool> complete_{false};        // or refused: the main loop is to answer
  bool delivery_refused_{false};             // of the link task: the rest of the model is thrown away
  int64_t deliveries_{0};                    // of the link task: since boot
  std::vector<Delivery> untold_deliveries_;  // of the main loop

  microphone::MicrophoneSource *source_{nullptr};
  std::atomic<bool> ear_{false};  // the stream is what the board's own microphone hears
  Mutex heard_mutex_;
  std::vector<uint8_t> heard_;  // samples that were handed over, and not told yet
  int64_t heard_first_{0};      // position of the first of them
  int64_t came_{0};             // samples that the microphone gave
  uint32_t came_at_{0};         // when, milliseconds
  uint32_t lost_{0};            // of them, as the client did not fetch
  uint32_t slow_{0};            // of them, as detection was too slow
  bool waited_for_client_{false};
  uint32_t waited_at_{0};       // when last, milliseconds

  EventGroupHandle_t events_{nullptr};
  std::unique_ptr<ring_buffer::RingBuffer> buffer_;
  StaticTask link_task_;
  StaticTask feed_task_;

  // Of the main loop alone.
  std::vector<uint8_t> output_;
  int64_t told_handed_over_{-1};
  int64_t told_decided_{-1};
  uint32_t told_faults_{0};
  uint32_t told_at_{0};
};

}  // namespace esphome::bench_microphone
