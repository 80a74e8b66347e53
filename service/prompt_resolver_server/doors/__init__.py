"""The doors: where the service listens, and what stands behind each address."""

from .doors import Addresses, Doors

__all__ = ["Addresses", "Doors"]
