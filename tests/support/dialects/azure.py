"""Azure's way with OpenAI's dialect, for the contract suites."""

from prompt_resolver_server.providers.dialects.openai import AzureDialect
from prompt_resolver_server.providers.wire.openais_own import OPENAIS_OWN
from tests.support.azure import azure_answer, azure_events
from tests.support.dialects.openai import OPENAI
from tests.support.dialects.subject import Subject, record

AZURE = Subject(
    name="azure",
    shares=OPENAIS_OWN,
    dialect=AzureDialect(),
    said=OPENAI.said,
    whole=azure_answer,
    streamed=lambda pieces: azure_events(*pieces),
    in_band_error=OPENAI.in_band_error,
    recordings=(
        record("text", azure_events("Hel", "lö")),
        record("verdicts apart", azure_events("Hel", "lo", verdicts_apart=True)),
    ),
)
