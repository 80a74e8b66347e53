"""The variables of a template are known without rendering it."""

from msgspec.structs import replace

from prompt_resolver_server.prompts import Media, Message, Reasoning, Template, Text, ToolCall
from prompt_resolver_server.rendering import find_variables
from tests.support.stores import make_template

EVERYWHERE = (
    Message(role="system", content=(Text("{{b}} and {{ a }} and {{b}}, {c}, {{not one}}"),)),
    Message(role="user", content=(Media(kind="image", url="https://{{host}}/x.png"),)),
    Message(
        role="assistant",
        content=(Reasoning(text="{{thought}}"),),
        tool_calls=(ToolCall(id="{{id}}", name="f", arguments_json='{"a": "{{arg[0]}}"}'),),
    ),
    Message(role="tool", content=(Text('{{snips("x")}}{{user.name}}'),), tool_call_id="1"),
)


def template(*messages: Message) -> Template:
    return replace(make_template("p", "1"), messages=messages)


def test_names() -> None:
    """Each variable is named once, in the order of first use, wherever one may stand."""
    assert find_variables(template(*EVERYWHERE)) == ("b", "a", "host", "arg[0]", "user.name")


def test_other_languages() -> None:
    """The variables of a template in another language are not guessed."""
    assert find_variables(replace(template(*EVERYWHERE), language="jinja")) == ()
