"""The store of prompts that Langfuse's API serves."""
