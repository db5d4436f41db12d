"""What a measurement leaves behind: `result.json`, and the report made from it."""
