"""The way to a provider: one request, one response, closed on every way out."""
