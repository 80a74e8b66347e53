"""Names that were found are known by the texts that they are in."""

from prompt_resolver_server.rendering.known_names import KnownNames


def test_texts_are_parsed_once() -> None:
    """What was found in texts is not looked for again; other texts are, however they are cut."""
    known, looked = KnownNames(), []

    def find() -> list[str]:
        looked.append(1)
        return ["a", "b", "a"]

    for texts in (["ab", "c"], ["a", "bc"], ["ab", "c"], ["\ud800"], ["\ud800"]):
        assert known.find(texts, find) == ("a", "b")
    assert len(looked) == 3


def test_how_many_are_known() -> None:
    """What was not asked for of late is forgotten."""
    known = KnownNames()
    for number in range(1_000):
        known.find([str(number)], lambda: ["old"])
    known.find(["0"], list)
    known.find(["new"], list)

    assert known.find(["0"], lambda: ["new"]) == ("old",)
    assert known.find(["1"], lambda: ["new"]) == ("new",)
