"""What looks like a secret is told with its place; prose is not."""

from pathlib import Path

import pytest

from prompt_resolver_server.commands.lint.secrets import find_secrets
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.linting import codes, lint
from tests.support.prompts import write_prompt

NOWHERE = range(0)
KEYS = [
    "sk-" + "abc-" * 8 + "1",
    "sk-proj-" + "a1_" * 10,
    "xoxb-" + "12345-abcde",
    "glpat-" + "x" * 19 + "7",
    "sk_live_" + "x" * 16,
    "AKIA" + "A" * 16,
    "AIza" + "x" * 35,
    "gh" + "p_" + "x" * 36,
    "hf_" + "x" * 30,
    ".".join(["eyJ" + "x" * 10, "y" * 10, "z" * 10]),
    "-----BEGIN RSA PRIVATE " + "KEY-----",
]


async def test_secrets(tmp_path: Path) -> None:
    """A key in a file is told by its name or its form, and shown by neither."""
    token = "gh" + "p_" + "x" * 36
    path = write_prompt(
        tmp_path, "p", f"<user>\n{token}\n</user>", api_key="key-of-fake", seed=1, stop="Bearer"
    )

    findings = [each for each in await lint(path) if each.code != "key-unknown"]

    assert codes(tuple(findings)) == [("secret-suspected", 5, 1), ("secret-suspected", 10, 1)]
    assert not any(token in each.message or "key-of-fake" in each.message for each in findings)


async def test_what_is_no_secret(tmp_path: Path) -> None:
    """A variable, a reference to the environment and an empty value are no secrets."""
    path = tmp_path / "p.prompt"
    path.write_text(
        "---\nmodel: m\napi_key: ''\naccess_token: null\nsecret_key: {{key}}\n"
        "password: os.environ/NAME\ntoken_count: 3\n---\n<user>\nHi\n</user>"
    )

    assert "secret-suspected" not in [each.code for each in await lint(path)]


@pytest.mark.parametrize("key", KEYS)
def test_forms(key: str) -> None:
    """A key is known by its form wherever a word begins, once."""
    for text in (key, f"key={key}.", f"Say\n  {key!r}\n", f"{key} {key[:8]}"):
        (suspicion,) = find_secrets(text, NOWHERE)
        assert suspicion.position == text.find(key)


@pytest.mark.parametrize(
    "text",
    [
        "Password: never ask for it.\nAuthorization: always needed\napi_key: asked for",
        "Do not sk-ip-anything-in-the-document-please.",
        "rk-or-pk-compatible-things-in-text-here, glpat-is-what-tokens-begin-with",
        "a task-of-2024-that-nobody-has-done-yet",
    ],
)
def test_prose(text: str) -> None:
    """Words that hyphens join are prose, and so are names of secrets outside of the header."""
    assert list(find_secrets(text, NOWHERE)) == []


async def test_headers(tmp_path: Path) -> None:
    """A name of a secret counts among the fields: those of a header, or all of a document."""
    prompt = write_prompt(tmp_path, "a", "<user>\npassword: of body\n</user>", password="x")
    document = tmp_path / "b.prompt.json"
    content = encode_template(
        Template(id="b", name="b", version="1", content_sha256="0", location="b", model="m")
    )
    document.write_bytes(content.replace(b"{", b'{\n"api_key": "key-of-fake",\n', 1))

    assert ("secret-suspected", 5, 1) in codes(await lint(prompt))
    assert [each.code for each in await lint(prompt)].count("secret-suspected") == 1
    assert ("secret-suspected", 2, 2) in codes(await lint(document))


@pytest.mark.parametrize("key", [key for key in KEYS if not key.startswith("-")])
def test_where_keys_begin(key: str) -> None:
    """Within a word none is looked for, so that the words of a file are gone through once.

    Were each `eyJ` of a long word the beginning of one, each would be followed to the word's end.
    """
    assert list(find_secrets(f"x-{key}", NOWHERE)) == []
    assert list(find_secrets(f"x_{key}", NOWHERE)) == []


@pytest.mark.parametrize(
    "piece", ["-eyJ", "eyJ", "sk-", "eyJ.", "xoxb-a", "-----BEGIN ", "gho-", "\n", " ", "_api"]
)
def test_what_looks_like_many_keys(piece: str) -> None:
    """The largest file is looked through at once; the square of its length would take an hour."""
    text = piece * (1024 * 1024 // len(piece))

    assert list(find_secrets(text, range(len(text)))) == []
