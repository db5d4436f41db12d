#include "virtual_microphone.h"

#include "esphome/core/log.h"
#include "freertos/ringbuf.h"
#include "virtual_board/audio_clock.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace esphome::virtual_board {

static const char *const TAG = "virtual_board.microphone";

static constexpr size_t CHUNK_SAMPLES = 256;  // 16 ms, what i2s_audio reads at once
static constexpr std::chrono::duration<double> SAMPLE_TIME{1 / 16000.0};
static constexpr int64_t WARM_UP_SAMPLES = 3200;
static constexpr int64_t REPORT_SAMPLES = 1600;  // the harness hears of progress every 100 ms of audio
static constexpr auto LONGEST_WAIT = std::chrono::milliseconds(50);
static constexpr size_t ALL_BUT_A_CHUNK = SIZE_MAX;  // room in the ring buffer, whatever its size

struct Header {
  char magic[8];
  double pace;
  int64_t position;
};
static constexpr char MAGIC[8] = {'M', 'W', 'W', 'A', 'U', 'D', 'I', 'O'};

// Reads at least `least` bytes and at most `most`; fewer than `least` at the end of the stream.
static size_t read_between(int client, void *data, size_t least, size_t most) {
  size_t got = 0;
  while (got < least) {
    const ssize_t n = ::read(client, static_cast<uint8_t *>(data) + got, most - got);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    got += n;
    // Half a sample is no end: wait for its other byte.
    least = std::max(least, (got + BYTES_PER_SAMPLE - 1) / BYTES_PER_SAMPLE * BYTES_PER_SAMPLE);
  }
  return got;
}

static bool gone(int client) {
  pollfd state{client, POLLRDHUP, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void VirtualMicrophone::setup() {
  this->audio_stream_info_ = audio::AudioStreamInfo(16, 1, 16000);
  const char *path = std::getenv("MWW_AUDIO_SOCKET");
  if (path == nullptr) {
    ESP_LOGE(TAG, "MWW_AUDIO_SOCKET is not set");
    this->mark_failed();
    return;
  }
  this->path_ = path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  ::unlink(path);
  this->listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (this->listener_ < 0 || ::bind(this->listener_, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 ||
      ::listen(this->listener_, 1) != 0) {
    ESP_LOGE(TAG, "Cannot listen at %s: %s", path, std::strerror(errno));
    this->mark_failed();
    return;
  }
  std::thread([this] { this->serve_(); }).detach();
}

void VirtualMicrophone::dump_config() { ESP_LOGCONFIG(TAG, "Virtual microphone at %s", this->path_.c_str()); }

void VirtualMicrophone::start() {
  this->running_ = true;
  this->state_ = microphone::STATE_RUNNING;
  audio_clock().changed.notify_all();
}

void VirtualMicrophone::stop() {
  this->running_ = false;
  this->state_ = microphone::STATE_STOPPED;
}

void VirtualMicrophone::serve_() {
  for (;;) {
    const int client = ::accept4(this->listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) {
      if (errno == EINTR || errno == ECONNABORTED)
        continue;
      ESP_LOGE(TAG, "accept: %s", std::strerror(errno));
      return;
    }
    this->hear_(client);
    ::close(client);
  }
}

void VirtualMicrophone::hear_(int client) {
  Header header;
  if (read_between(client, &header, sizeof header, sizeof header) != sizeof header || std::memcmp(header.magic, MAGIC, sizeof MAGIC) != 0) {
    ESP_LOGW(TAG, "A stream without a header was refused");
    return;
  }
  auto &clock = audio_clock();
  {
    std::lock_guard<std::mutex> lock(clock.mutex);
    clock.handed_over = clock.heard = clock.decided = header.position;
  }
  std::atomic<bool> ended{false};
  std::thread reporter([client, &clock, &ended] {
    int64_t handed_over = -1, decided = -1;
    const auto news = [&] {
      return ended || handed_over < 0 || clock.decided - decided >= REPORT_SAMPLES || clock.handed_over - handed_over >= REPORT_SAMPLES ||
             (clock.decided == clock.handed_over && clock.decided != decided);
    };
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(clock.mutex);
        clock.changed.wait(lock, news);
        handed_over = clock.handed_over;
        decided = clock.decided;
      }
      const int64_t progress[2] = {handed_over, decided};
      if (ended || ::send(client, progress, sizeof progress, MSG_NOSIGNAL) != sizeof progress)
        return;
    }
  });
  std::vector<uint8_t> chunk;
  auto due = std::chrono::steady_clock::time_point::min();
  for (;;) {
    chunk.resize(CHUNK_SAMPLES * BYTES_PER_SAMPLE);
    const size_t got = read_between(client, chunk.data(), BYTES_PER_SAMPLE, chunk.size()) / BYTES_PER_SAMPLE;
    if (got == 0)
      break;
    chunk.resize(got * BYTES_PER_SAMPLE);
    if (header.pace > 0 && clock.handed_over - header.position >= WARM_UP_SAMPLES) {
      // Models are loaded when the first slice comes, each in its own time: the ring is full of what came meanwhile.
      if (due == std::chrono::steady_clock::time_point::min()) {
        if (!this->wait_for_room_(client, ALL_BUT_A_CHUNK))
          break;
        due = std::chrono::steady_clock::now();
      }
      // A harness that was late does not make the microphone hurry.
      const auto step = std::chrono::duration_cast<std::chrono::steady_clock::duration>(SAMPLE_TIME * got / header.pace);
      due = std::max(due + step, std::chrono::steady_clock::now() - step);
      std::this_thread::sleep_until(due);
    } else if (!this->wait_for_room_(client, chunk.size())) {
      break;
    }
    {
      std::lock_guard<std::mutex> lock(clock.mutex);
      clock.chunk_position = clock.handed_over;
    }
    if (this->running_)
      this->data_callbacks_.call(chunk);
    std::lock_guard<std::mutex> lock(clock.mutex);
    clock.handed_over += int64_t(got);
    clock.changed.notify_all();
  }
  {
    std::lock_guard<std::mutex> lock(clock.mutex);
    ended = true;
    clock.changed.notify_all();
  }
  reporter.join();
}

bool VirtualMicrophone::wait_for_room_(int client, size_t bytes) {
  auto &clock = audio_clock();
  std::unique_lock<std::mutex> lock(clock.mutex);
  const auto room = [&] {
    const StaticRingbuffer_t *ring = current_ring();
    if (!this->running_ || ring == nullptr)
      return false;
    return bytes == ALL_BUT_A_CHUNK ? ring->used <= CHUNK_SAMPLES * BYTES_PER_SAMPLE : ring->size - ring->used >= bytes;
  };
  while (!clock.changed.wait_for(lock, LONGEST_WAIT, room)) {
    // Nobody waits for a stream whose harness went away.
    if (gone(client))
      return false;
  }
  return true;
}

}  // namespace esphome::virtual_board
