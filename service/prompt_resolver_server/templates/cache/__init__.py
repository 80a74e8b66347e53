"""The cache in front of the stores."""
