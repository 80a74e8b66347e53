"""Watching prompts: what has changed is told to those who watch, and found out for them.

`journal` numbers the changes and remembers the newest of each prompt, `keeper` has watched prompts
kept current, and `watches` is what callers hold.
"""
