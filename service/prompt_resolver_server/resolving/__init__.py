"""The use case: what callers ask becomes a resolved prompt, and has it answered.

`queries` is what is asked, `references` tells which prompt that is, `resolver` fetches and renders
it, `candidates` are those that can answer, `model_requests` what they are asked, `failover` takes
one after the other. `steps` tells whoever asks how it went.
"""
