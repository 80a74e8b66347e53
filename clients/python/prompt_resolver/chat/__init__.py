"""OpenAI's chat API in Python: what `completion` takes, and what it answers."""
