#include "room_microphone.h"

#include "esphome/core/log.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace esphome::virtual_board {

static const char *const TAG = "virtual_board.microphone";
static constexpr size_t CHUNK_BYTES = 256 * 4;

static int connected_to(const char *path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || std::strlen(path) >= sizeof(address.sun_path))
    return -1;
  std::strcpy(address.sun_path, path);
  const int line = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (line >= 0 && ::connect(line, reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0) {
    ::close(line);
    return -1;
  }
  return line;
}

void RoomMicrophone::setup() { this->audio_stream_info_ = audio::AudioStreamInfo(16, 2, 16000); }

void RoomMicrophone::start() {
  if (this->running_.exchange(true))
    return;
  this->state_ = microphone::STATE_RUNNING;
  std::thread([this] { this->hear_(); }).detach();
}

void RoomMicrophone::stop() {
  this->running_ = false;
  this->state_ = microphone::STATE_STOPPED;
  // Once its thread has let go of it: what is started next is another one's.
  std::unique_lock<std::mutex> guard(this->mutex_);
  while (this->line_ >= 0) {
    ::shutdown(this->line_, SHUT_RDWR);
    guard.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    guard.lock();
  }
}

void RoomMicrophone::hear_() {
  const int line = connected_to(std::getenv("MWW_ROOM"));
  if (line < 0) {
    ESP_LOGW(TAG, "There is no room to hear");
    return;
  }
  {
    std::lock_guard<std::mutex> guard(this->mutex_);
    this->line_ = line;
  }
  std::vector<uint8_t> chunk(CHUNK_BYTES);
  while (this->running_) {
    const ssize_t got = ::recv(line, chunk.data(), chunk.size(), MSG_WAITALL);
    if (got != ssize_t(chunk.size()))
      break;
    this->data_callbacks_.call(chunk);
  }
  std::lock_guard<std::mutex> guard(this->mutex_);
  ::close(line);
  this->line_ = -1;
}

}  // namespace esphome::virtual_board
