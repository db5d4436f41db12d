"""ESPHome's decision logic: sliding window, pending probability, hold-off. Slice by slice, and swept over cutoffs."""
