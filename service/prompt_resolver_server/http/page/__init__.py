"""The page for people, and the small API that it asks: which prompts are served, and how it goes.

It is read-only. `visitors` tells who may see what.
"""
