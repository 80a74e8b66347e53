"""A first look: the service calls itself once, the way a user would, and shows what comes back."""

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.show import show_prompt

from .doors import Addresses

_PROMPT = "support/reply"
_VARIABLES = {
    "company": "Juniper Bicycles",
    "customer_name": "Ada",
    "order_id": "J-1042",
    "message": "My new bike arrived without its bell. Can you send one?",
}
_TIMEOUT_S = 60.0


async def show_tour(doors: Addresses, *, token: str | None) -> None:
    """Resolve and complete an example through the service's own gRPC door, and print all of it."""
    async with AsyncPromptResolverClient(
        str(doors.grpc), token=token, wait_for_ready=False
    ) as client:
        try:
            prompt = await client.resolve(_PROMPT, variables=_VARIABLES, timeout_s=_TIMEOUT_S)
            print(f"\n--- Resolve {_PROMPT} ---\n")
            show_prompt(prompt)
            answer = await client.complete(_PROMPT, variables=_VARIABLES, timeout_s=_TIMEOUT_S)
        except PromptResolverError as error:
            print(f"the example did not work: {error}", flush=True)
            return
    text = "".join(part.text for part in answer.message.content)
    tokens = f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"
    print(f"\n--- Complete: {answer.provider}/{answer.model}, {tokens} ---\n\n{text}\n")
    print(_next_steps(doors), flush=True)


def _next_steps(doors: Addresses) -> str:
    address = doors.grpc
    at = "" if str(address) == "127.0.0.1:50051" else f" --address {address}"
    lines = [
        "--- Serving, until Ctrl-C. From a second shell: ---",
        "",
        "  . .venv/bin/activate",
        f"  prompt-resolver resolve{at} support/reply --var company=Juniper --var order_id=7 \\",
        "      --var customer_name=Ada --var message='Where is my order?'",
        f"  prompt-resolver complete{at} extract/invoice --json --var text='Invoice 12, EUR 30'",
        f"  prompt-resolver resolve{at} assistant/orders --var company=Juniper --var question=Hi",
        f"  grpcurl -plaintext {address} describe prompt_resolver.v1.PromptResolver",
    ]
    if doors.admin is not None:
        lines += [
            f"  curl http://{doors.admin}/metrics",
            "",
            f"--- In a browser: http://{doors.admin}/ ---",
        ]
    return "\n".join(lines)
