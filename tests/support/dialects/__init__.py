"""The dialects as the contract suites know them: a new one is a module here, and a line below."""

from tests.support.dialects.anthropic import ANTHROPIC
from tests.support.dialects.azure import AZURE
from tests.support.dialects.bedrock import BEDROCK
from tests.support.dialects.cohere import COHERE
from tests.support.dialects.gemini import GEMINI, VERTEX
from tests.support.dialects.ollama import OLLAMA
from tests.support.dialects.openai import OPENAI, WITHOUT_DONE
from tests.support.dialects.subject import Recording, Subject

SUBJECTS = (OPENAI, WITHOUT_DONE, ANTHROPIC, AZURE, BEDROCK, GEMINI, VERTEX, COHERE, OLLAMA)

__all__ = ["SUBJECTS", "Recording", "Subject"]
