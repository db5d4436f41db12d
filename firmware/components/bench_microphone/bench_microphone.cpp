#include "bench_microphone.h"

#include "esphome/components/hmac_sha256/hmac_sha256.h"
#include "esphome/core/application.h"
#include "esphome/core/hal.h"
#include "esphome/core/log.h"

#ifdef USE_HOST
#include "virtual_board/inference.h"
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace esphome::bench_microphone {

static const char *const TAG = "bench_microphone";

static constexpr size_t BYTES_PER_SAMPLE = 2;
static constexpr size_t SAMPLES_PER_MS = 16;
static constexpr size_t CHUNK_SAMPLES = 256;  // 16 ms, what i2s_audio reads at once
static constexpr uint32_t SAMPLE_NS = 62500;
static constexpr int64_t WARM_UP_SAMPLES = 3200;
static constexpr int64_t REPORT_SAMPLES = 1600;  // the client hears of progress every 100 ms of sound
// Of the 1920 that micro_wake_word's ring buffer holds; up to 160 are heard and not yet given back.
static constexpr size_t MOST_IN_FLIGHT = 1600;
static constexpr size_t MOST_PENDING = 8192;  // probabilities and bytes that a client has not fetched
static constexpr size_t LARGEST_MESSAGE = 4096;
static constexpr size_t MOST_HEARD = 8192;    // bytes of the own microphone that a client has not fetched; what comes meanwhile waits in the buffer
static constexpr size_t HEARD_AT_ONCE = 2048, TRACE_AT_ONCE = 2048;  // a message's length has 16 bits
// Behind a wait for the client, what is lost while the buffer empties again is lost for that. A chosen time, not a measured one: where a client pauses again within it, a
// detection that is too slow is taken for the client's pauses. And models are loaded when the first sound comes, while the buffer fills: a board that takes longer for that
// than the buffer lasts is told to be too slow. How long an ESP32-S3 takes has not been measured.
static constexpr uint32_t CATCHING_UP_MS = 2000;
// Far above what official models of version 2 have: some 60 KB, and arenas of 20 to 50 KB.
static constexpr uint32_t MOST_MODEL = 1 << 20, MOST_ARENA = 1 << 20;
static constexpr uint16_t MOST_WINDOW = 255;
static constexpr size_t NONCE = 16, MAC = 16;
static constexpr uint32_t PREFILL_MS = 150;
// microphone.py takes no less: a stream at a pace waits for its first sound while the link waits for room for a whole message.
static constexpr uint32_t SMALLEST_BUFFER_MS = 300;
static_assert(SMALLEST_BUFFER_MS * SAMPLES_PER_MS * BYTES_PER_SAMPLE >= PREFILL_MS * SAMPLES_PER_MS * BYTES_PER_SAMPLE + LARGEST_MESSAGE,
              "the first sound and a message");
// Who listens is told that the board is there, also where its microphone gives nothing.
static constexpr uint32_t ALIVE_MS = 1000;
static constexpr uint32_t HANDSHAKE_MS = 5000, SILENCE_MS = 10000, STALL_MS = 40000, REFUSAL_MS = 500;
static constexpr uint32_t LINK_STACK = 6144, FEED_STACK = 4096;
static constexpr UBaseType_t LINK_PRIORITY = 4, FEED_PRIORITY = 5;  // above the inference task's 3
static constexpr uint8_t VERSION = 5;

enum ClientMessage : uint8_t { START = 1, AUDIO = 2, FLUSH = 3, PING = 4, RESTART = 5, LISTEN = 6, DELIVER = 7, MODEL = 8 };
enum BoardMessage : uint8_t { PROGRESS = 1, PROBABILITIES = 2, HEARD = 3, DELIVERED = 4 };
enum Status : uint8_t { WELCOME = 0, BUSY = 1, WRONG_KEY = 2 };
enum Events : EventBits_t { CLIENT_CAME = 1 << 1, SOUND_CAME = 1 << 2 };

struct Hello {
  char magic[4];
  uint8_t version, status, reserved[2];
  uint8_t nonce[NONCE];
};
static_assert(sizeof(Hello) == 24, "without padding");

/// Whatever waits on this connection ends. Called with the client's mutex, as the other task may close it.
static void hang_up(socket::Socket *client) {
  if (client != nullptr)
    client->shutdown(SHUT_RDWR);
}

void BenchMicrophone::setup() {
  this->audio_stream_info_ = audio::AudioStreamInfo(16, 1, 16000);
  stream_clock().setup();
  this->events_ = stream_clock().changed();
  this->buffer_ = ring_buffer::RingBuffer::create(this->buffer_ms_ * SAMPLES_PER_MS * BYTES_PER_SAMPLE);
  this->listener_ = socket::socket_ip_loop_monitored(SOCK_STREAM, 0);
  if (this->events_ == nullptr || this->buffer_ == nullptr || this->listener_ == nullptr) {
    ESP_LOGE(TAG, "No memory or no socket");
    this->mark_failed();
    return;
  }
  if (this->source_ != nullptr)
    this->source_->add_data_callback([this](const std::vector<uint8_t> &data) { this->hear_(data); });
  int yes = 1;
  this->listener_->setsockopt(SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_storage address{};
  const socklen_t length = socket::set_sockaddr_any(reinterpret_cast<sockaddr *>(&address), sizeof(address), this->port_);
  if (length == 0 || this->listener_->setblocking(false) != 0 ||
      this->listener_->bind(reinterpret_cast<sockaddr *>(&address), length) != 0 || this->listener_->listen(2) != 0) {
    ESP_LOGE(TAG, "Cannot listen on port %u: errno %d", this->port_, errno);
    this->mark_failed();
    return;
  }
  if (!this->link_task_.create(BenchMicrophone::link_task, "bench_link", LINK_STACK, this, LINK_PRIORITY, false) ||
      !this->feed_task_.create(BenchMicrophone::feed_task, "bench_feed", FEED_STACK, this, FEED_PRIORITY, false)) {
    ESP_LOGE(TAG, "Cannot create tasks");
    this->mark_failed();
  }
}

void BenchMicrophone::dump_config() {
  ESP_LOGCONFIG(TAG, "Bench microphone: sound from the network, port %u, buffer %u ms", this->port_, unsigned(this->buffer_ms_));
  if (this->source_ != nullptr)
    ESP_LOGCONFIG(TAG, "  Who has the API key can listen to this room through the board's own microphone");
}

void BenchMicrophone::on_shutdown() {
  this->listener_.reset();
  this->next_.reset();
  // The client is told now: who is not would wait for a board that is gone.
  LockGuard guard(this->client_mutex_);
  hang_up(this->client_.get());
}

void BenchMicrophone::start() {
  this->running_ = true;
  this->state_ = microphone::STATE_RUNNING;
  xEventGroupSetBits(this->events_, SOUND_CAME);
}

void BenchMicrophone::stop() {
  this->running_ = false;
  this->state_ = microphone::STATE_STOPPED;
}

// --- the main loop

void BenchMicrophone::loop() {
  if (this->listener_ != nullptr)
    this->accept_();
  if (this->complete_) {
    const bool there = this->deliver_();
    const uint8_t told[2] = {there, uint8_t(there ? stream_clock().models() - 1 : 0)};
    this->append_(DELIVERED, 0, told, sizeof(told));
    this->complete_ = false;  // the link task may take another one, and lets its client go no sooner
  }
  if (this->taken_)
    this->report_();
  if (this->restart_) {
    this->restart_ = false;
    ESP_LOGI(TAG, "Restarting for a new stream");
    App.safe_reboot();
  }
}

void BenchMicrophone::accept_() {
  if (this->next_ != nullptr) {
    if (!this->taken_)
      this->take_(std::move(this->next_));
    return;
  }
  sockaddr_storage peer{};
  socklen_t length = sizeof(peer);
  auto client = this->listener_->accept(reinterpret_cast<sockaddr *>(&peer), &length);
  if (client == nullptr)
    return;
  if (this->taken_) {
    {
      LockGuard guard(this->client_mutex_);
      if (!this->proven_) {
        // Who has not shown the key keeps nobody away.
        hang_up(this->client_.get());
        this->next_ = std::move(client);
        return;
      }
    }
    ESP_LOGW(TAG, "A second client was turned away");
    const Hello hello{{'M', 'W', 'W', 'B'}, VERSION, BUSY, {}, {}};
    client->setblocking(false);
    client->send(&hello, sizeof(hello), MSG_NOSIGNAL);
    return;  // closes it
  }
  this->take_(std::move(client));
}

void BenchMicrophone::take_(std::unique_ptr<socket::Socket> client) {
  int yes = 1;
  client->setsockopt(IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  const timeval wait{1, 0};
  client->setsockopt(SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  this->output_.clear();
  this->told_handed_over_ = this->told_decided_ = -1;
  this->told_faults_ = 0;
  {
    LockGuard guard(this->client_mutex_);
    this->client_ = std::move(client);
    this->proven_ = false;
  }
  this->taken_ = true;
  xEventGroupSetBits(this->events_, CLIENT_CAME);
}

void BenchMicrophone::report_() {
  if (!this->playing_) {
    this->flush_();
    return;
  }
  if (this->output_.size() < MOST_PENDING) {
    if (this->ear_) {
      LockGuard guard(this->heard_mutex_);
      while (!this->heard_.empty() && this->output_.size() < MOST_PENDING) {
        const size_t bytes = std::min(this->heard_.size(), HEARD_AT_ONCE);
        struct __attribute__((packed)) {
          int64_t first, came;
          uint32_t came_at, lost, slow;
        } heard{this->heard_first_, this->came_, this->came_at_, this->lost_, this->slow_};
        static_assert(sizeof(heard) == 28, "without padding");
        this->append_(HEARD, 0, &heard, sizeof(heard), this->heard_.data(), bytes);
        this->heard_.erase(this->heard_.begin(), this->heard_.begin() + bytes);
        this->heard_first_ += int64_t(bytes / BYTES_PER_SAMPLE);
      }
      xEventGroupSetBits(this->events_, SOUND_CAME);
    }
    const Moment moment = stream_clock().moment();
    // First the probabilities: what is called decided has been told.
    for (size_t model = 0; model < stream_clock().models(); model++) {
      const Trace trace = stream_clock().take(model);
      for (size_t at = 0; at < trace.values.size(); at += TRACE_AT_ONCE) {
        const uint32_t first = trace.first + uint32_t(at);
        this->append_(PROBABILITIES, uint8_t(model), &first, sizeof(first), trace.values.data() + at, std::min(trace.values.size() - at, TRACE_AT_ONCE));
      }
    }
    const uint32_t underruns = this->underruns_;
    const uint32_t faults = underruns + moment.refused;
    if (moment.decided - this->told_decided_ >= REPORT_SAMPLES || moment.handed_over - this->told_handed_over_ >= REPORT_SAMPLES ||
        (moment.decided == moment.handed_over && moment.decided != this->told_decided_) || faults != this->told_faults_ ||
        (this->ear_ && millis() - this->told_at_ >= ALIVE_MS)) {
      struct {
        int64_t handed_over, decided;
        uint32_t underruns, refused;
        int64_t underrun_at, refused_at;
      } progress{moment.handed_over, moment.decided, underruns, moment.refused, -1, moment.refused_at};
      {
        LockGuard guard(this->underrun_mutex_);
        progress.underrun_at = this->underrun_at_;
      }
      this->append_(PROGRESS, 0, &progress, sizeof(progress));
      this->told_handed_over_ = moment.handed_over;
      this->told_decided_ = moment.decided;
      this->told_faults_ = faults;
      this->told_at_ = millis();
    }
  }
  this->flush_();
}

void BenchMicrophone::append_(uint8_t type, uint8_t model, const void *data, size_t bytes, const void *more, size_t more_bytes) {
  const size_t plain = 2 + bytes + more_bytes, length = plain + MAC, start = this->output_.size() + 2;
  const uint8_t header[4] = {uint8_t(length & 0xff), uint8_t(length >> 8), type, model};
  this->output_.insert(this->output_.end(), header, header + sizeof(header));
  const auto put = [this](const void *from, size_t count) {
    const auto *begin = static_cast<const uint8_t *>(from);
    this->output_.insert(this->output_.end(), begin, begin + count);
  };
  put(data, bytes);
  if (more_bytes > 0)
    put(more, more_bytes);
  this->output_.resize(start + length);
  NoiseBuffer buffer;
  noise_buffer_set_inout(buffer, this->output_.data() + start, plain, length);
  if (noise_cipherstate_encrypt(this->answers_, &buffer) != NOISE_ERROR_NONE) {
    this->output_.resize(start - 2);
    ESP_LOGE(TAG, "Cannot encrypt");
    LockGuard guard(this->client_mutex_);
    hang_up(this->client_.get());
  }
}

void BenchMicrophone::flush_() {
  if (this->output_.empty())
    return;
  LockGuard guard(this->client_mutex_);
  if (this->client_ == nullptr)
    return;
  const ssize_t sent = this->client_->send(this->output_.data(), this->output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent > 0)
    this->output_.erase(this->output_.begin(), this->output_.begin() + sent);
}

// --- the link task

void BenchMicrophone::link_task(void *self) {
  auto *microphone = static_cast<BenchMicrophone *>(self);
  for (;;) {
    xEventGroupWaitBits(microphone->events_, CLIENT_CAME, pdTRUE, pdTRUE, portMAX_DELAY);
    microphone->serve_();
  }
}

void BenchMicrophone::serve_() {
  if (this->authenticate_()) {
    ESP_LOGI(TAG, "A client is here");
    const char *reason = this->listen_();
    ESP_LOGI(TAG, "The client is gone: %s", reason);
    if (this->ear_) {
      // Before the stream ends: what the room gives after that would lie in front of the next one.
      this->source_->stop();
      {
        LockGuard guard(this->heard_mutex_);
        this->ear_ = false;
      }
      ESP_LOGW(TAG, "Nobody listens to this room any more");
    }
    this->playing_ = false;
    // What is told of its model is told to this client, under its key; and nobody goes on with what it left.
    while (this->complete_)
      delay(1);
    this->delivery_ = Delivery{};
  }
  {
    LockGuard guard(this->client_mutex_);
    this->client_.reset();
  }
  xEventGroupSetBits(this->events_, SOUND_CAME);
  this->taken_ = false;
  App.wake_loop_threadsafe();  // somebody may wait for the place
}

bool BenchMicrophone::receive_(void *data, size_t bytes) {
  auto *next = static_cast<uint8_t *>(data);
  while (bytes > 0) {
    // Also of who says something now and then, and never all of it.
    if (millis() - this->last_input_ > (this->playing_ ? SILENCE_MS : HANDSHAKE_MS))
      return false;
    const ssize_t got = this->client_->read(next, bytes);
    if (got == 0)
      return false;
    if (got < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return false;
      continue;
    }
    // Somebody who has shown no key has one time for all of it.
    if (this->playing_)
      this->last_input_ = millis();
    next += got;
    bytes -= size_t(got);
  }
  return true;
}

bool BenchMicrophone::write_(const void *data, size_t bytes) {
  LockGuard guard(this->client_mutex_);
  return this->client_->send(data, bytes, MSG_NOSIGNAL) == ssize_t(bytes);
}

Digest BenchMicrophone::sign_(const uint8_t *key, const char *text, const void *a, size_t a_bytes, const void *b, size_t b_bytes,
                              const void *c, size_t c_bytes) {
  hmac_sha256::HmacSHA256 hmac;
  hmac.init(key, 32);
  hmac.add(text, std::strlen(text));
  hmac.add(static_cast<const uint8_t *>(a), a_bytes);
  hmac.add(static_cast<const uint8_t *>(b), b_bytes);
  if (c_bytes > 0)
    hmac.add(static_cast<const uint8_t *>(c), c_bytes);
  hmac.calculate();
  Digest digest;
  hmac.get_bytes(digest.data());
  return digest;
}

/// Whether all bytes are equal, in a time that does not tell which.
static bool equal(const uint8_t *a, const uint8_t *b, size_t bytes) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < bytes; i++)
    difference = difference | (a[i] ^ b[i]);
  return difference == 0;
}

bool BenchMicrophone::authenticate_() {
  this->last_input_ = millis();
  Hello hello{{'M', 'W', 'W', 'B'}, VERSION, WELCOME, {}, {}};
  struct {
    uint8_t nonce[NONCE];
    uint8_t proof[32];
  } answer;
  if (!random_bytes(hello.nonce, sizeof(hello.nonce)) || !this->write_(&hello, sizeof(hello)) || !this->receive_(&answer, sizeof(answer)))
    return false;
  const Digest expected = this->sign_(this->key_, "mww-bench client", hello.nonce, NONCE, answer.nonce, NONCE);
  uint8_t verdict[1 + 32 + 8] = {WELCOME};
  if (!equal(expected.data(), answer.proof, expected.size())) {
    ESP_LOGW(TAG, "A client with a wrong key was turned away");
    verdict[0] = WRONG_KEY;
    delay(REFUSAL_MS);
    this->write_(verdict, sizeof(verdict));
    return false;
  }
  const Digest proof = this->sign_(this->key_, "mww-bench board", hello.nonce, NONCE, answer.nonce, NONCE);
  this->session_ = this->sign_(this->key_, "mww-bench session", hello.nonce, NONCE, answer.nonce, NONCE);
  const Digest answers = this->sign_(this->key_, "mww-bench answers", hello.nonce, NONCE, answer.nonce, NONCE);
  // The main loop tells nothing before a client has shown the key, and of a model that was delivered before its client is gone (see serve_).
  if ((this->answers_ == nullptr && noise_cipherstate_new_by_id(&this->answers_, NOISE_CIPHER_CHACHAPOLY) != NOISE_ERROR_NONE) ||
      noise_cipherstate_init_key(this->answers_, answers.data(), answers.size()) != NOISE_ERROR_NONE)
    return false;
  {
    LockGuard guard(this->client_mutex_);
    this->proven_ = true;
  }
  // What the last client left is thrown away by now, and all of it that was handed over is counted.
  this->wait_idle_();
  const int64_t ever = stream_clock().ever() + this->deliveries_;
  std::memcpy(verdict + 1, proof.data(), proof.size());
  std::memcpy(verdict + 1 + proof.size(), &ever, sizeof(ever));
  return this->write_(verdict, sizeof(verdict));
}

void BenchMicrophone::wait_idle_() {
  while (!this->idle_)
    delay(1);
}

const char *BenchMicrophone::listen_() {
  static const char *const BY_CLIENT = "it hung up", *const SILENCE = "it said nothing", *const BAD_MESSAGE = "a bad message",
                           *const STALLED = "nobody hears it";
  std::vector<uint8_t> message(4 + LARGEST_MESSAGE);
  uint8_t mac[MAC];
  for (uint64_t number = 0;; number++) {
    if (!this->receive_(message.data(), 4))
      return millis() - this->last_input_ > SILENCE_MS ? SILENCE : BY_CLIENT;
    const size_t bytes = size_t(message[2]) | size_t(message[3]) << 8;
    if (bytes > LARGEST_MESSAGE)
      return BAD_MESSAGE;
    if (!this->receive_(message.data() + 4, bytes) || !this->receive_(mac, sizeof(mac)))
      return BY_CLIENT;
    const Digest expected = this->sign_(this->session_.data(), "", &number, sizeof(number), message.data(), 4 + bytes);
    if (!equal(expected.data(), mac, sizeof(mac)))
      return BAD_MESSAGE;
    this->last_input_ = millis();
    const uint8_t *content = message.data() + 4;
    switch (message[0]) {
      case START: {
        uint32_t pace;
        if (bytes != sizeof(pace) || this->playing_ || this->complete_)
          return BAD_MESSAGE;
        std::memcpy(&pace, content, sizeof(pace));
        this->begin_(pace);
        break;
      }
      case DELIVER:
        if (this->playing_ || this->complete_)
          return BAD_MESSAGE;
        this->begin_model_(content, bytes);
        break;
      case MODEL:
        if (this->delivery_refused_)
          break;  // it was sent before the client knew
        if (this->playing_ || this->complete_ || !this->take_model_(content, bytes))
          return BAD_MESSAGE;
        break;
      case LISTEN:
        if (bytes != 0 || this->playing_ || this->complete_ || this->source_ == nullptr)
          return BAD_MESSAGE;
        this->wait_idle_();
        {
          LockGuard guard(this->heard_mutex_);
          this->heard_.clear();
          this->heard_first_ = this->came_ = 0;
          this->lost_ = this->slow_ = 0;
          this->waited_for_client_ = false;
        }
        ESP_LOGW(TAG, "A client listens to this room");
        this->ear_ = true;
        this->begin_(0);
        this->source_->start();
        break;
      case AUDIO:
        if (!this->playing_ || this->ear_ || bytes % BYTES_PER_SAMPLE != 0)
          return BAD_MESSAGE;
        // The link is not read meanwhile: this is the flow control. Whether the client is still there cannot be seen then.
        while (bytes > 0 && this->buffer_->write_without_replacement(content, bytes, pdMS_TO_TICKS(100), false) == 0) {
          if (millis() - this->last_input_ > STALL_MS)
            return STALLED;
        }
        this->last_input_ = millis();
        this->flushed_ = false;
        xEventGroupSetBits(this->events_, SOUND_CAME);
        break;
      case FLUSH:
        this->flushed_ = true;
        xEventGroupSetBits(this->events_, SOUND_CAME);
        break;
      case PING:
        break;
      case RESTART:
        this->restart_ = true;
        App.wake_loop_threadsafe();
        break;
      default:
        return BAD_MESSAGE;
    }
  }
}

void BenchMicrophone::begin_model_(const uint8_t *content, size_t bytes) {
  this->deliveries_++;
  this->delivery_ = Delivery{};
  const char *why = this->read_model_(content, bytes);
  this->delivery_refused_ = why != nullptr;
  if (why == nullptr)
    return;
  ESP_LOGE(TAG, "A model was not taken: %s", why);
  this->delivery_ = Delivery{};
  this->complete_ = true;
  App.wake_loop_threadsafe();
}

const char *BenchMicrophone::read_model_(const uint8_t *content, size_t bytes) {
  struct {
    uint32_t bytes, arena;
    uint16_t window;
    uint8_t cutoff, zero;
  } head;
  if (this->detection_ == nullptr)
    return "nothing here detects";
  if (bytes <= sizeof(head))
    return "its head is too short";
  std::memcpy(&head, content, sizeof(head));
  const char *text = reinterpret_cast<const char *>(content + sizeof(head)), *end = reinterpret_cast<const char *>(content + bytes);
  const char *middle = std::find(text, end, '\0');
  if (middle == end)
    return "it has no wake word";
  // Before any memory is taken.
  if (head.bytes == 0 || head.bytes > MOST_MODEL)
    return "it is empty, or too large";
  if (head.arena == 0 || head.arena > MOST_ARENA)
    return "its arena is 0, or too large";
  if (head.window == 0 || head.window > MOST_WINDOW)
    return "its sliding window is 0, or too long";
  this->delivery_.data = std::make_shared<micro_wake_word::ModelData>();
  this->delivery_.arena = head.arena;
  this->delivery_.window = head.window;
  this->delivery_.cutoff = head.cutoff;
  this->delivery_.id.assign(text, middle);
  this->delivery_.wake_word.assign(middle + 1, end);
  return this->delivery_.data->allocate(head.bytes) ? nullptr : "there is no memory for it";
}

bool BenchMicrophone::take_model_(const uint8_t *content, size_t bytes) {
  Delivery &delivery = this->delivery_;
  if (delivery.data == nullptr || delivery.received + bytes > delivery.data->size())
    return false;
  std::memcpy(delivery.data->get_write_pointer() + delivery.received, content, bytes);
  delivery.received += bytes;
  if (delivery.received == delivery.data->size()) {
    this->complete_ = true;
    App.wake_loop_threadsafe();
  }
  return true;
}

bool BenchMicrophone::deliver_() {
  Delivery delivery = std::move(this->delivery_);
  this->delivery_ = Delivery{};
  if (delivery.data == nullptr)
    return false;  // refused before, and said so
  if (!delivery.data->validate_and_mark_ready()) {
    ESP_LOGE(TAG, "A model was not taken: it is no TFLite model");
    return false;
  }
  if (this->detection_->get_model_by_id(delivery.id) != nullptr) {
    ESP_LOGE(TAG, "A model was not taken: one with the id %s is here", delivery.id.c_str());
    return false;
  }
#ifdef USE_HOST
  virtual_board::register_model(delivery.data->get_model_pointer(), delivery.data->size());
#endif
  auto model = std::make_unique<micro_wake_word::WakeWordModel>(delivery.id, delivery.data, delivery.cutoff, delivery.window, delivery.wake_word,
                                                               std::vector<std::string>{}, delivery.arena);
  auto *added = model.get();
  if (!this->detection_->add_runtime_model(std::move(model)))
    return false;
  // Not those of WakeWordModel, which write into the flash: it is so until the board starts anew.
  for (auto *one : this->detection_->get_wake_words()) {
    if (one != added)
      one->StreamingModel::disable();
  }
  added->StreamingModel::enable();
  stream_clock().add_model(delivery.data->get_model_pointer());
  this->untold_deliveries_.push_back(std::move(delivery));
  return true;
}

void BenchMicrophone::tell_delivered(std::vector<std::pair<const uint8_t *, size_t>> &bytes, std::vector<int> &windows,
                                     std::vector<std::string> &hashes) {
  for (const Delivery &one : this->untold_deliveries_) {
    bytes.emplace_back(one.data->get_model_pointer(), one.data->size());
    windows.push_back(one.window);
    hashes.clear();
  }
  this->untold_deliveries_.clear();
}

void BenchMicrophone::begin_(uint32_t pace) {
  this->wait_idle_();
  stream_clock().begin();
  this->pace_ = pace;
  this->underruns_ = 0;
  this->flushed_ = false;
  {
    // Together: a stream that ends before the feeding task has seen it leaves sound to throw away.
    LockGuard guard(this->feed_mutex_);
    this->buffer_->reset();
    this->playing_ = true;
    this->idle_ = false;
  }
  App.wake_loop_threadsafe();
}

// --- the task of the board's own microphone

void BenchMicrophone::hear_(const std::vector<uint8_t> &data) {
  if (data.empty())
    return;
  {
    // Together: who ends the stream waits here for a block that is being written.
    LockGuard guard(this->heard_mutex_);
    if (!this->ear_)
      return;
    const size_t samples = data.size() / BYTES_PER_SAMPLE;
    const size_t written = this->buffer_->write_without_replacement(data.data(), data.size(), 0, false);
    this->came_ += int64_t(samples);
    this->came_at_ = millis();
    if (written == 0) {
      const bool client = this->waited_for_client_ && this->came_at_ - this->waited_at_ < CATCHING_UP_MS;
      uint32_t &count = client ? this->lost_ : this->slow_;
      count += std::min(uint32_t(samples), std::numeric_limits<uint32_t>::max() - count);
    }
  }
  xEventGroupSetBits(this->events_, SOUND_CAME);
}

// --- the feeding task

bool BenchMicrophone::client_is_behind_(bool ear) {
  bool behind = stream_clock().pending_probabilities() > MOST_PENDING;
  if (!ear)
    return behind;
  LockGuard guard(this->heard_mutex_);
  behind = behind || this->heard_.size() > MOST_HEARD;
  if (behind) {
    this->waited_for_client_ = true;
    this->waited_at_ = millis();
  }
  return behind;
}

void BenchMicrophone::tell_heard_(const std::vector<uint8_t> &chunk) {
  LockGuard guard(this->heard_mutex_);
  this->heard_.insert(this->heard_.end(), chunk.begin(), chunk.end());
}

void BenchMicrophone::feed_task(void *self) {
  for (;;)
    static_cast<BenchMicrophone *>(self)->feed_();
}

bool BenchMicrophone::wait_(uint32_t milliseconds) {
  return xEventGroupWaitBits(this->events_, SOUND_CAME | StreamClock::PROGRESS, pdTRUE, pdFALSE, pdMS_TO_TICKS(milliseconds)) != 0;
}

void BenchMicrophone::feed_() {
  if (!this->playing_) {
    // Nobody hears what is left of a stream whose client went away.
    {
      LockGuard guard(this->feed_mutex_);
      if (!this->playing_ && !this->idle_) {
        this->buffer_->reset();
        this->idle_ = true;
      }
    }
    this->wait_(100);
    return;
  }
  const uint32_t pace = this->pace_;
  const bool ear = this->ear_;
  const auto over = [this] { return !this->playing_; };
  const auto available = [this] { return this->buffer_->available() / BYTES_PER_SAMPLE; };
  const auto step_us = [pace](size_t samples) { return uint32_t(uint64_t(samples) * SAMPLE_NS / pace); };
  auto &clock = stream_clock();
  std::vector<uint8_t> chunk;
  int64_t fed = 0;
  bool paced = false, starved = false;
  uint32_t due = 0;
  while (!over()) {
    const size_t ready = available();
    // A stream at a pace begins with some sound in hand, and a chunk is whole unless no more comes.
    const size_t wanted = pace > 0 && fed == 0 ? PREFILL_MS * SAMPLES_PER_MS : pace > 0 ? CHUNK_SAMPLES : 1;
    if (ready == 0 || (ready < wanted && !this->flushed_)) {
      if (paced && !starved && !this->flushed_ && int32_t(micros() - due) > int32_t(step_us(CHUNK_SAMPLES))) {
        starved = true;
        LockGuard guard(this->underrun_mutex_);
        this->underruns_++;
        this->underrun_at_ = clock.moment().handed_over;
      }
      this->wait_(paced ? 2 : 50);
      continue;
    }
    starved = false;
    const size_t samples = std::min(ready, CHUNK_SAMPLES);
    if (pace > 0 && !paced && fed >= WARM_UP_SAMPLES) {
      // Models are loaded when the first slice comes, each in its own time: the ring is full of what came meanwhile.
      while (!over() && this->running_ && clock.waiting() > CHUNK_SAMPLES)
        this->wait_(50);
      paced = true;
      due = micros();
    }
    if (paced) {
      // Sound that was late does not make the microphone hurry.
      due += step_us(samples);
      const uint32_t now = micros();
      if (int32_t(now - due) > int32_t(step_us(samples)))
        due = now - step_us(samples);
      while (!over() && int32_t(due - micros()) > 0) {
        // To the next millisecond: the inference task, which is less urgent, has the time until then, and `due` does not drift.
        const int32_t left = int32_t(due - micros());
        if (left > 0)
          delay((uint32_t(left) + 999) / 1000);
      }
    } else {
      // A microphone does not wait for a detection that does not run.
      while (!over() && (this->running_ ? clock.waiting() + samples > MOST_IN_FLIGHT : !ear))
        this->wait_(50);
    }
    // A client that does not fetch what the board tells is waited for.
    while (!over() && this->client_is_behind_(ear))
      this->wait_(10);
    if (over())
      break;
    chunk.resize(samples * BYTES_PER_SAMPLE);
    this->buffer_->read(chunk.data(), chunk.size(), 0);
    clock.hand_over(samples, [this, &chunk] {
      if (this->running_)
        this->data_callbacks_.call(chunk);
      else
        stream_clock().refused();
    });
    if (ear)
      this->tell_heard_(chunk);
    const int64_t before = fed;
    fed += int64_t(samples);
    if (before / REPORT_SAMPLES != fed / REPORT_SAMPLES || this->buffer_->available() == 0)
      App.wake_loop_threadsafe();
  }
}

}  // namespace esphome::bench_microphone
