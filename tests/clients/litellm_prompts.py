"""Run in the environment of LiteLLM: has its own client fetch prompts and fill them in.

`python litellm_prompts.py API_BASE API_KEY QUERY CASES`, where CASES are `[prompt_id, variables]`
and QUERY are further parameters, all as JSON, prints what LiteLLM would send for each case: model,
messages and parameters, or the error.
"""

import json
import sys

from litellm.integrations.generic_prompt_management import GenericPromptManager

api_base, api_key, query, cases = sys.argv[1:]
told = []
for prompt_id, variables in json.loads(cases):
    manager = GenericPromptManager(
        api_base=api_base,
        api_key=api_key,
        additional_provider_specific_query_params=json.loads(query),
    )
    try:
        told.append(
            manager.get_chat_completion_prompt(
                model="generic_prompt/callers-model",
                messages=[{"role": "user", "content": "And more"}],
                non_default_params={"temperature": 1.5, "user": "u"},
                prompt_id=prompt_id,
                prompt_variables=variables,
                dynamic_callback_params={},
            )
        )
    except ValueError as error:
        told.append(str(error))
print(json.dumps(told))
