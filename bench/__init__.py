"""Measures the service beside peers, in one interleaved run. `make bench` runs it."""
