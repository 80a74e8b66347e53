"""The prompt-resolver service: fetches prompts, renders them, and lets models answer them."""
