"""What every data door does with a call, whatever it speaks: lets it in, bounds it, ends it."""
