"""LiteLLM's Generic Prompt Management API."""
