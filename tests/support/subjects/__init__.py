"""The stores that the contract suite runs over, each with one prompt in it."""
