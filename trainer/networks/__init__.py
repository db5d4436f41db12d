"""The networks: their graphs (training window, streaming), the faster order of MixedNet's, and their form in JAX."""
