#include "virtual_board/inference.h"

#include "esphome/core/log.h"

#include <cerrno>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace esphome::virtual_board {

static const char *const TAG = "virtual_board";

static std::mutex models_mutex;
static std::map<const uint8_t *, size_t> &models() {
  static auto *registered = new std::map<const uint8_t *, size_t>;
  return *registered;
}

void register_model(const uint8_t *model, size_t bytes) {
  std::lock_guard<std::mutex> lock(models_mutex);
  models()[model] = bytes;
}

static size_t model_bytes(const uint8_t *model) {
  std::lock_guard<std::mutex> lock(models_mutex);
  const auto found = models().find(model);
  return found == models().end() ? 0 : found->second;
}

template<typename T> static T read_at(const uint8_t *data) {
  T value;
  std::memcpy(&value, data, sizeof value);
  return value;
}

uint32_t schema_version(const uint8_t *model) {
  // FlatBuffers: the root table's first field. A vtable holds its own size, the table's size, then an offset a field.
  const uint8_t *table = model + read_at<uint32_t>(model);
  const uint8_t *vtable = table - read_at<int32_t>(table);
  const auto vtable_bytes = read_at<uint16_t>(vtable);
  const uint16_t field = vtable_bytes >= 6 ? read_at<uint16_t>(vtable + 4) : 0;
  return field == 0 ? 0 : read_at<uint32_t>(table + field);
}

InferenceSession::~InferenceSession() {
  if (this->socket_ >= 0)
    close(this->socket_);
}

bool InferenceSession::send_(const void *data, size_t bytes) {
  const auto *next = static_cast<const uint8_t *>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(this->socket_, next, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent <= 0)
      return false;
    next += sent;
    bytes -= sent;
  }
  return true;
}

bool InferenceSession::receive_(void *data, size_t bytes) {
  auto *next = static_cast<uint8_t *>(data);
  while (bytes > 0) {
    const ssize_t got = ::recv(this->socket_, next, bytes, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    next += got;
    bytes -= got;
  }
  return true;
}

bool InferenceSession::receive_tensor_(TfLiteTensor &tensor, TfLiteIntArray &dims, std::vector<uint8_t> &content) {
  uint32_t header[7];  // type, number of dimensions, four dimensions, bytes
  if (!this->receive_(header, sizeof header) || header[1] > 4)
    return false;
  tensor.type = static_cast<TfLiteType>(header[0]);
  dims.size = static_cast<int>(header[1]);
  for (int i = 0; i < 4; i++)
    dims.data[i] = static_cast<int>(header[2 + i]);
  content.assign(header[6], 0);
  tensor.data.raw = content.data();
  tensor.dims = &dims;
  return true;
}

bool InferenceSession::load(const uint8_t *model, size_t arena_bytes) {
  const size_t bytes = model_bytes(model);
  const char *path = std::getenv("MWW_INFERENCE_SOCKET");
  if (bytes == 0 || path == nullptr) {
    ESP_LOGE(TAG, bytes == 0 ? "The model was not registered" : "MWW_INFERENCE_SOCKET is not set");
    return false;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  this->socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (this->socket_ < 0 || ::connect(this->socket_, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) {
    ESP_LOGE(TAG, "No inference server at %s: %s", path, std::strerror(errno));
    return false;
  }
  const uint32_t request[2] = {static_cast<uint32_t>(arena_bytes), static_cast<uint32_t>(bytes)};
  uint32_t reply[2];  // whether it loaded, arena bytes used
  if (!this->send_(request, sizeof request) || !this->send_(model, bytes) || !this->receive_(reply, sizeof reply) || reply[0] != 1)
    return false;
  this->arena_used = reply[1];
  return this->receive_tensor_(this->input, this->input_dims_, this->input_content_) &&
         this->receive_tensor_(this->output, this->output_dims_, this->output_content_);
}

bool InferenceSession::invoke() {
  return this->send_(this->input_content_.data(), this->input_content_.size()) &&
         this->receive_(this->output_content_.data(), this->output_content_.size());
}

}  // namespace esphome::virtual_board
