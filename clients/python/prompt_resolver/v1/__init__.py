"""The generated messages and stubs of the contract `prompt_resolver.v1`."""
