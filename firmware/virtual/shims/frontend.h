// The frontend is pymicro-features' own C source, unchanged.
#pragma once
#include "tensorflow/lite/experimental/microfrontend/lib/frontend.h"
