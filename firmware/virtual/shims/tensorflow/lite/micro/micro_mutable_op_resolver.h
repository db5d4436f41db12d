// The operators that ESPHome registers. The inference server refuses a model that needs another one.
#pragma once
#include "tensorflow/lite/core/c/common.h"

namespace tflite {

template<unsigned CAPACITY> struct MicroMutableOpResolver {
  unsigned registered{0};
  TfLiteStatus add() { return this->registered++ < CAPACITY ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus AddCallOnce() { return this->add(); }
  TfLiteStatus AddVarHandle() { return this->add(); }
  TfLiteStatus AddReshape() { return this->add(); }
  TfLiteStatus AddReadVariable() { return this->add(); }
  TfLiteStatus AddStridedSlice() { return this->add(); }
  TfLiteStatus AddConcatenation() { return this->add(); }
  TfLiteStatus AddAssignVariable() { return this->add(); }
  TfLiteStatus AddConv2D() { return this->add(); }
  TfLiteStatus AddMul() { return this->add(); }
  TfLiteStatus AddAdd() { return this->add(); }
  TfLiteStatus AddMean() { return this->add(); }
  TfLiteStatus AddFullyConnected() { return this->add(); }
  TfLiteStatus AddLogistic() { return this->add(); }
  TfLiteStatus AddQuantize() { return this->add(); }
  TfLiteStatus AddDepthwiseConv2D() { return this->add(); }
  TfLiteStatus AddAveragePool2D() { return this->add(); }
  TfLiteStatus AddMaxPool2D() { return this->add(); }
  TfLiteStatus AddPad() { return this->add(); }
  TfLiteStatus AddPack() { return this->add(); }
  TfLiteStatus AddSplitV() { return this->add(); }
};

}  // namespace tflite
