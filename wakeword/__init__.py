"""What every wake-word device does, in software: features, engines, detector, scoring. No TensorFlow, no sockets."""
