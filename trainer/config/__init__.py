"""Configuration: sections, presets, and where a value comes from."""
