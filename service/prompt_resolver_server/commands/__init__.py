"""Commands that need no service: lint, pull and render prompts, check a configuration."""
