"""The gRPC door: the only part that knows gRPC and the contract's messages."""
