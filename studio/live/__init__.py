"""A microphone in the browser, heard as a device hears: samples, detections, and the recording that was heard."""
