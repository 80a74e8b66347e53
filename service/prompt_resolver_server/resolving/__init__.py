"""The use case: what callers ask becomes a resolved prompt, and has it answered.

`queries` is what is asked, `references` tells which prompt that is, `preparer` fetches and renders
it for one row, `candidates` are those that can answer, `model_requests` what they are asked,
`failover` takes one after the other. `resolver` is what the doors call, and `steps` tells whoever
asks how it went.
"""
