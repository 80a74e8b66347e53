"""Jinja2, as Humanloop's templates may use it."""
