"""What dialects share: pieces of wire formats, and how to read and write them."""
