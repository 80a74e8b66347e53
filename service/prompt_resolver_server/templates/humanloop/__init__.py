"""The store of prompts that Humanloop's v5 API serves."""
