"""Run in the environment of Humanloop's SDK: reads everything that an API has, and validates it.

`python humanloop_sdk.py BASE_URL KEY PROMPT_ID PATH VERSION ENVIRONMENT` prints what it found as
JSON.
"""

import asyncio
import json
import sys

from humanloop import AsyncHumanloop, Humanloop, PromptResponse
from humanloop.core.api_error import ApiError
from humanloop.types.file_environment_response import FileEnvironmentResponse

base_url, key, prompt_id, path, version, environment = sys.argv[1:]
client = Humanloop(api_key=key, base_url=base_url)


def failure(call, *arguments, **options):
    """Return the status that a call fails with, and the kind of the error's detail."""
    try:
        call(*arguments, **options)
    except ApiError as error:
        body = error.body if isinstance(error.body, dict) else error.body.dict()
        return [error.status_code, type(body["detail"]).__name__]
    return [200, ""]


deployed = client.prompts.get(prompt_id)
pinned = client.prompts.get(prompt_id, version_id=version)
by_path = client.files.retrieve_by_path(path=path)
listed = list(client.prompts.list(size=1))
named = list(client.prompts.list(size=50, name=deployed.name, sort_by="name", order="desc"))
versions = client.prompts.list_versions(prompt_id).records
environments = client.prompts.list_environments(prompt_id)
staged = [client.prompts.get(prompt_id, environment=environment)] if environment else []
again = asyncio.run(AsyncHumanloop(api_key=key, base_url=base_url).prompts.get(prompt_id))

# `get` and the lists build their objects unchecked.
for prompt in (deployed, pinned, by_path, again, *staged, *listed, *named, *versions):
    PromptResponse.model_validate(prompt.model_dump(by_alias=True))
for each in environments:
    FileEnvironmentResponse.model_validate(each.model_dump(by_alias=True))

print(
    json.dumps(
        {
            "deployed": deployed.version_id,
            "again": again.version_id,
            "pinned": pinned.version_id,
            "staged": [prompt.version_id for prompt in staged],
            "by_path": [type(by_path).__name__, by_path.id, by_path.version_id],
            "listed": [prompt.id for prompt in listed],
            "named": [prompt.id for prompt in named],
            "versions": [prompt.version_id for prompt in versions],
            "environments": sorted(
                [each.name, each.tag, each.file and each.file.version_id] for each in environments
            ),
            "tools": [tool.name for tool in deployed.tools or []],
            "template": deployed.template,
            "inputs": [each.name for each in deployed.inputs],
            "missing": failure(client.prompts.get, "pr_none"),
            "missing_version": failure(client.prompts.get, prompt_id, version_id="prv_none"),
            "malformed": failure(client.prompts.list, page=0),
            "written": failure(client.prompts.upsert, path="new", model="m"),
            "deleted": failure(client.prompts.delete, prompt_id),
        },
        default=lambda value: value.dict(exclude_none=True),
    )
)
