"""Template fetching: the stores, the formats that prompts are written in, and the cache in front.

A new store is a module here with a class that is a `TemplateStore`, its settings and its `KIND`,
and a line in the table of `kinds`.
"""
