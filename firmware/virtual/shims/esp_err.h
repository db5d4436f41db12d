#pragma once
using esp_err_t = int;
constexpr esp_err_t ESP_OK = 0;
