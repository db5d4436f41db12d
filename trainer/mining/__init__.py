"""Hard negative mining: windows without the wake word that a model accepts, saved with their provenance."""
