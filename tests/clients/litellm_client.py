"""Asks the HTTP door by way of LiteLLM, and prints what came as JSON.

litellm_client.py URL MODEL VARIABLES
"""

import asyncio
import json
import sys

import litellm


def main() -> None:
    """Ask for a whole answer, a streamed one, and one without asyncio."""
    url, model, variables = sys.argv[1:]
    options = {
        "model": f"openai/{model}",
        "api_base": url,
        "api_key": "anything",
        "messages": [{"role": "user", "content": "<IGNORED>"}],
        "extra_body": {"prompt_variables": json.loads(variables)},
        "max_retries": 0,
    }
    waited = litellm.completion(**options)
    whole, streamed = asyncio.run(ask(options))
    try:
        litellm.completion(**{**options, "extra_body": {}})
        failure = ""
    except litellm.BadRequestError as error:
        failure = str(error)
    print(
        json.dumps(
            {
                "waited": waited.choices[0].message.content,
                "whole": whole.choices[0].message.content,
                "streamed": streamed,
                "tokens": whole.usage.total_tokens,
                "version": whole._hidden_params["additional_headers"][
                    "llm_provider-x-prompt-version"
                ],
                "failure": failure,
            }
        )
    )


async def ask(options: dict) -> tuple:
    """Ask for a whole answer and a streamed one."""
    whole = await litellm.acompletion(**options)
    texts = [
        chunk.choices[0].delta.content or ""
        async for chunk in await litellm.acompletion(**options, stream=True)
    ]
    return whole, "".join(texts)


main()
