"""Models of AWS Bedrock: by their ids, or by the ARNs of what stands for them."""

from ....domain.errors import unsupported
from ...wire.paths import write_segment


def write_path(model: str, action: str) -> str:
    """Return the path of an action of a model, all of whose id is one segment of it.

    Raises PARAMETER_UNSUPPORTED for what begins with one of LiteLLM's other routes, such as
    `invoke/`, or with a region, and for what leads elsewhere.
    """
    if "/" in model and not model.startswith("arn:"):
        raise unsupported("model", "expected a model's id or an ARN, and no route or region")
    return f"/model/{write_segment(model)}/{action}"


def is_anthropic(model: str) -> bool:
    """Tell whether a model is known to be one of Anthropic's. Not every ARN tells."""
    return "anthropic." in model


def is_openai(model: str) -> bool:
    """Tell whether a model is known to be one of OpenAI's, which take that API's words."""
    return "openai." in model
