// TFLM's interpreter as micro_wake_word uses it. The real one, tflite-micro, runs in the inference server beside this program.
#pragma once
#include "tensorflow/lite/core/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "virtual_board/inference.h"

constexpr uint32_t TFLITE_SCHEMA_VERSION = 3;

namespace tflite {

struct Model {
  const uint8_t *bytes() const { return reinterpret_cast<const uint8_t *>(this); }
  uint32_t version() const { return esphome::virtual_board::schema_version(this->bytes()); }
};
inline const Model *GetModel(const void *data) { return static_cast<const Model *>(data); }

// The wheel keeps its resource variables in the interpreter's own arena; these two have nothing to hold.
struct MicroAllocator {
  static MicroAllocator *Create(uint8_t *, size_t) {
    static MicroAllocator allocator;
    return &allocator;
  }
};
struct MicroResourceVariables {
  static MicroResourceVariables *Create(MicroAllocator *, int) {
    static MicroResourceVariables variables;
    return &variables;
  }
};

template<typename T> T *GetTensorData(TfLiteTensor *tensor) { return static_cast<T *>(tensor->data.raw); }

class MicroInterpreter {
 public:
  template<typename Resolver>
  MicroInterpreter(const Model *model, const Resolver &, uint8_t *, size_t arena_bytes, MicroResourceVariables *)
      : model_(model), arena_bytes_(arena_bytes) {}

  TfLiteStatus AllocateTensors() { return this->session_.load(this->model_->bytes(), this->arena_bytes_) ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Invoke() { return this->session_.invoke() ? kTfLiteOk : kTfLiteError; }
  TfLiteTensor *input(int) { return &this->session_.input; }
  TfLiteTensor *output(int) { return &this->session_.output; }
  size_t arena_used_bytes() const { return this->session_.arena_used; }

 protected:
  esphome::virtual_board::InferenceSession session_;
  const Model *model_;
  size_t arena_bytes_;
};

}  // namespace tflite
