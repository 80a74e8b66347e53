"""The version of this distribution, client and server alike."""

__version__ = "0.1.0"
