"""The steps of resolving a query, for whoever asks how it is resolved; the cache tells its own."""

from collections.abc import Mapping, Sequence

from ..dispatch.notation import ModelChoice
from ..domain.aliases import Alias, Deployment
from ..domain.explaining import tell
from ..domain.parameters import NO_PARAMETERS, Json
from ..domain.prompts import Message, Template
from .queries import Query


def tell_alias(alias: Alias, deployment: Deployment) -> None:
    """Tell which of an alias' deployments serves."""
    if not alias.name:
        tell("alias", "no alias is named")
        return
    tell(
        "alias",
        f"a deployment of alias {alias.name!r} serves",
        alias=alias.name,
        deployments=len(alias.deployments),
        model=deployment.model,
        store=deployment.store,
        prompt_id=deployment.prompt.id if deployment.prompt is not None else None,
    )


def tell_choice(choice: ModelChoice) -> None:
    """Tell which model would answer."""
    tell(
        "model",
        f"{choice.model!r} of provider {choice.provider!r}" if choice.model else "nobody names one",
        model=choice.model,
        provider=choice.provider,
        named_by=choice.named_by,
        passed_over=choice.passed_over or None,
    )


def tell_parameters(query: Query, template: Template | None, deployment: Deployment) -> None:
    """Tell who sets which parameter."""
    sources = {
        "request": query.parameters,
        "template": template.parameters if template is not None else NO_PARAMETERS,
        "alias": deployment.parameters,
    }
    setters: dict[str, Json] = {}
    for source, parameters in sources.items():
        for name in parameters.names():
            setters.setdefault(name, source)
    tell("parameters", f"{len(setters)} are set", set_by=setters)


def tell_rendered(
    template: Template, messages: Sequence[Message], variables: Mapping[str, Json]
) -> None:
    """Tell how much came of a template, and nothing of what."""
    tell(
        "render",
        f"{len(messages)} messages",
        language=template.language,
        messages=len(messages),
        variables=len(variables),
    )
