"""The values that travel through the service: prompts, parameters, answers, errors. No I/O."""
