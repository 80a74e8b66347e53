"""Traces: a span for each call and, below it, one for each request to a provider.

Nobody who asks for no traces pays for them. No prompt, no value of a variable, nothing that a model
said, no key and nobody's error text is in a span.
"""

from .spans import NO_ATTEMPT, NO_SPAN, NO_TRACER, AttemptSpan, CallSpan, Tracer

__all__ = ["NO_ATTEMPT", "NO_SPAN", "NO_TRACER", "AttemptSpan", "CallSpan", "Tracer"]
