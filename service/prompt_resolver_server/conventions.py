"""Names of OpenTelemetry's conventions that spans and metrics share.

Those of models are GenAI's, which are still in development: of the repository
`semantic-conventions-genai` at 024a4f9. What has no name there has one of ours.
"""

from collections.abc import Mapping

OPERATION = "chat"
ERROR_TYPE = "error.type"
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RPC_METHOD = "rpc.method"
RPC_SYSTEM = "rpc.system.name"
RPC_STATUS = "rpc.response.status_code"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"

PROVIDER_NAMES: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""The providers that have another name in the conventions, by ours."""
