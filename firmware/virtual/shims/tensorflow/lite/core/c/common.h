// What micro_wake_word reads of a TFLM tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteUInt8 = 3, kTfLiteInt16 = 7, kTfLiteInt8 = 9 };
struct TfLiteIntArray {
  int size;
  int data[4];
};
struct TfLiteTensor {
  TfLiteType type;
  union {
    void *raw;
    int8_t *int8;
    uint8_t *uint8;
  } data;
  TfLiteIntArray *dims;
};
