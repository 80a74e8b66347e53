"""What runs in the workers: the template languages that compute, and the check of variables.

A worker is a process of its own, with limits on its time and its memory, and without a key, an
environment or a file. It imports nothing else of this service, so that it starts fast.
"""
