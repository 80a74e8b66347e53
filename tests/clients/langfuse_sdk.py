"""Run in the environment of Langfuse's SDK: reads everything that an API has, and compiles it.

`python langfuse_sdk.py BASE_URL PUBLIC_KEY SECRET_KEY CASES`, where CASES are
`[name, selector, values]` as JSON, prints what it found as JSON.
"""

import json
import sys

from langfuse import Langfuse
from langfuse.api import NotFoundError

base_url, public_key, secret_key, cases = sys.argv[1:]
client = Langfuse(
    public_key=public_key, secret_key=secret_key, base_url=base_url, tracing_enabled=False
)


def compile_case(name, selector, values):
    """Return a prompt as a program gets it, with its values in their places."""
    try:
        prompt = client.get_prompt(name, max_retries=0, cache_ttl_seconds=0, **selector)
    except NotFoundError as error:
        return {"missing": error.status_code}
    return {
        "version": prompt.version,
        "labels": sorted(prompt.labels),
        "config": prompt.config,
        "variables": prompt.variables,
        "compiled": prompt.compile(**values),
    }


listed = client.api.prompts.list(limit=100)
print(
    json.dumps(
        {
            "compiled": [compile_case(*case) for case in json.loads(cases)],
            "listed": [[each.name, each.versions, sorted(each.labels)] for each in listed.data],
            "total": listed.meta.total_items,
            "labelled": [each.name for each in client.api.prompts.list(label="staging").data],
            "named": [each.name for each in client.api.prompts.list(name="plain").data],
        }
    )
)
