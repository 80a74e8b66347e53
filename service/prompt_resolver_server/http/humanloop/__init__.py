"""The reading side of Humanloop's v5 API."""
