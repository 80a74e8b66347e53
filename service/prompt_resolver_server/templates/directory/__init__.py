"""The store of prompts that are files in a directory."""
