"""Drivers of the Python clients, for the conformance suite: commands in, answers out, as JSON."""
