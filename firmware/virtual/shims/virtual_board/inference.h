// One interpreter in the inference server: a connection to $MWW_INFERENCE_SOCKET. The protocol stands in inference_server.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensorflow/lite/core/c/common.h"

namespace esphome::virtual_board {

/// Tell how many bytes a compiled-in model has; a flatbuffer does not say so itself.
void register_model(const uint8_t *model, size_t bytes);

/// The schema version that a TFLite flatbuffer states; 0 if it states none.
uint32_t schema_version(const uint8_t *model);

class InferenceSession {
 public:
  InferenceSession() = default;
  InferenceSession(const InferenceSession &) = delete;
  InferenceSession &operator=(const InferenceSession &) = delete;
  ~InferenceSession();

  /// Load a registered model into an arena of so many bytes. False when the interpreter refuses it or crashes.
  bool load(const uint8_t *model, size_t arena_bytes);
  bool invoke();

  TfLiteTensor input{};
  TfLiteTensor output{};
  size_t arena_used{0};

 protected:
  bool send_(const void *data, size_t bytes);
  bool receive_(void *data, size_t bytes);
  bool receive_tensor_(TfLiteTensor &tensor, TfLiteIntArray &dims, std::vector<uint8_t> &content);

  int socket_{-1};
  TfLiteIntArray input_dims_{};
  TfLiteIntArray output_dims_{};
  std::vector<uint8_t> input_content_;
  std::vector<uint8_t> output_content_;
};

}  // namespace esphome::virtual_board
