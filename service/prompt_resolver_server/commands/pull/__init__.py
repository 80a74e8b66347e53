"""Copies prompts from a store into a directory that a `directory` store serves identically.

`command` is the command line and `copier` what it runs. A prompt is `collected` from the store,
`layout` says which files it becomes and `names` what they may be called, `verify` compares what the
directory serves with what the store gave, and `tree` puts the files in their places, with what
`journal` remembers.
"""
