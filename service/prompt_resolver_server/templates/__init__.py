"""Template fetching: the stores, and the cache in front of them.

A new store is a module here with a class that is a `TemplateStore`, settings for it in
`settings/model.py`, and a branch where `assembly.py` builds stores.
"""
