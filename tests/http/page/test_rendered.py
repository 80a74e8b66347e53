"""Rendered prompts as JSON."""

from prompt_resolver_server.domain.parameters import NO_PARAMETERS, Json
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResolvedPrompt,
    Text,
    ToolChoice,
)
from prompt_resolver_server.http.page.rendered import write_prompt


def written(*parts: Part) -> Json:
    prompt = ResolvedPrompt(
        messages=(Message(role="assistant", name="ada", content=parts),),
        model="",
        provider="",
        parameters=NO_PARAMETERS,
        tools=(),
        tool_choice=ToolChoice(mode="required"),
        served=None,
    )
    document = write_prompt(prompt)
    assert document["prompt"] is None
    assert document["tool_choice"] == {"mode": "required"}
    assert isinstance(document["messages"], list)
    (message,) = document["messages"]
    assert isinstance(message, dict)
    assert (message["role"], message["name"]) == ("assistant", "ada")
    return message["content"]


def test_parts() -> None:
    """Each kind of part is told by its name, and of bytes how many they are."""
    content = written(
        Text(""),
        Refusal("no"),
        Reasoning(text="hm", signature=b"1234"),
        Media(kind="audio", data=b"12345", media_type="audio/wav"),
    )

    assert content == [
        {"text": ""},
        {"refusal": "no"},
        {"reasoning": {"text": "hm", "signature": "4 bytes"}},
        {"audio": {"data": "5 bytes", "media_type": "audio/wav"}},
    ]
