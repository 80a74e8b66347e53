"""Run in the environment of Humanloop's SDK: reads everything from the stand-in, and validates it.

`python humanloop_sdk.py BASE_URL KEY PROMPT_ID PATH` prints what it found as JSON.
"""

import json
import sys

from humanloop import Humanloop, PromptResponse
from humanloop.core.api_error import ApiError

base_url, key, prompt_id, path = sys.argv[1:]
client = Humanloop(api_key=key, base_url=base_url)

deployed = client.prompts.get(prompt_id)
pinned = client.prompts.get(prompt_id, version_id="prv_1")
staged = client.prompts.get(prompt_id, environment="staging")
by_path = client.files.retrieve_by_path(path=path)
listed = list(client.prompts.list(size=1))
versions = client.prompts.list_versions(prompt_id).records
environments = client.prompts.list_environments(prompt_id)

# `get` and the lists build their objects unchecked.
for prompt in (deployed, pinned, staged, by_path, *listed, *versions):
    PromptResponse.model_validate(prompt.model_dump(by_alias=True))

try:
    client.prompts.get("pr_none")
    missing = 200
except ApiError as error:
    missing = error.status_code

print(
    json.dumps(
        {
            "deployed": deployed.version_id,
            "pinned": pinned.version_id,
            "staged": staged.version_id,
            "by_path": [type(by_path).__name__, by_path.id, by_path.version_id],
            "listed": [prompt.id for prompt in listed],
            "versions": [prompt.version_id for prompt in versions],
            "environments": sorted([each.name, each.tag] for each in environments),
            "tools": [tool.name for tool in deployed.tools],
            "missing": missing,
        }
    )
)
