"""Parameters of OpenAI's own API that have no field of ours, so that they come as extra ones."""

OPENAIS_OWN = frozenset(
    {
        *("audio", "logit_bias", "logprobs", "max_completion_tokens", "metadata", "modalities"),
        *("moderation", "prediction", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "service_tier", "store", "top_logprobs"),
        *("user", "verbosity", "web_search_options"),
    }
)
"""Whoever sets one of these says it to OpenAI. Other vendors have some of the names for what is
theirs; a dialect has no place for the rest, which a vendor refuses, or passes over silently.
"""
