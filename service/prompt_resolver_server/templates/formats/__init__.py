"""The formats that prompts are written in, whichever store has them."""
