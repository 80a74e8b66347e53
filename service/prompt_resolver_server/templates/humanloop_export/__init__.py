"""The store of prompts that the official export of a Humanloop account has left on the disk."""
