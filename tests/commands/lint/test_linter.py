"""Every file that the `directory` store would look at is found, and read as the store reads it."""

import os
from pathlib import Path

import pytest

from prompt_resolver_server.commands.lint.command import check_paths
from prompt_resolver_server.commands.lint.findings import Report
from prompt_resolver_server.commands.lint.output import OUTPUTS
from prompt_resolver_server.templates.formats.format_rule import FormatRule, PromptFormat
from prompt_resolver_server.templates.formats.prompt_file import Source
from tests.support.linting import codes, lint
from tests.support.prompts import write_prompt

GOOD = "<user>\nHi\n</user>"


async def test_what_cannot_be_served(tmp_path: Path) -> None:
    """What the store or the renderer would refuse is an error, by the reason that they give."""
    write_prompt(tmp_path, "a", GOOD, temperature="hot")
    write_prompt(tmp_path, "b", GOOD, other={"api_base": "http://x.invalid"})
    write_prompt(tmp_path, "c", "<user>\n" + "{{x}} " * 10_001 + "\n</user>")
    write_prompt(tmp_path, "50%", GOOD)

    findings = await lint(tmp_path)

    assert codes(findings) == [
        ("name-invalid", None, None),
        ("template-invalid", 5, None),
        ("template-forbidden", 5, None),
        ("template-budget", None, None),
    ]


async def test_name_that_is_no_text(tmp_path: Path) -> None:
    """A file whose name is no text is an error, as no id can name it."""
    content = write_prompt(tmp_path, "a", GOOD).read_bytes()
    for name in (b"\xff.prompt", b"a.\xff.deployments.yaml"):
        (tmp_path / os.fsdecode(name)).write_bytes(content)

    report = await check_paths([tmp_path])

    assert [each.code for each in report.findings] == ["name-invalid", "name-invalid"]
    assert "prompt: error: expected a name in UTF-8" in OUTPUTS["text"](report)


async def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A link that leads out of the tree, or to nowhere, is an error."""
    outside = write_prompt(tmp_path / "other", "p", GOOD)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.prompt").symlink_to(outside)
    (tree / "b.prompt").symlink_to("nowhere")

    findings = await lint(tree)

    assert [each.code for each in findings] == ["file-unreadable", "file-unreadable"]


async def test_what_is_no_file(tmp_path: Path) -> None:
    """What only looks like a file is not waited for, and an endless one is not read to its end."""
    for name in ("a.prompt", "ids.yaml", "a.deployments.yaml"):
        os.mkfifo(tmp_path / name)
    with (tmp_path / "b.prompt").open("wb") as stream:
        stream.truncate(1 << 40)

    findings = await lint(tmp_path)

    assert [each.code for each in findings] == [
        *("file-unreadable", "file-unreadable", "template-invalid", "file-unreadable"),
    ]


async def test_links_to_elsewhere(tmp_path: Path) -> None:
    """A folder outside of the tree is not looked into."""
    write_prompt(tmp_path / "other", "p", GOOD)
    tree = tmp_path / "tree"
    write_prompt(tree, "p", GOOD)
    (tree / "team").symlink_to(tmp_path / "other")

    assert (await check_paths([tree])).files == 1


async def test_names_that_talk_to_terminals(tmp_path: Path) -> None:
    """A file is told by a name that can be printed, whatever it is called."""
    for name in (b"a\x1b[31m", b"b\xff", b"c\n"):
        write_prompt(tmp_path, os.fsdecode(name), "nonsense")

    report = Report(files=3, findings=await lint(tmp_path))

    assert {Path(each.path).name for each in report.findings} == {
        "a\ufffd[31m.prompt",
        "b\ufffd.prompt",
        "c\ufffd.prompt",
    }
    for output in OUTPUTS.values():
        assert output(report).replace("\n", "").isprintable()


async def test_what_is_no_part_of_the_tree(tmp_path: Path) -> None:
    """Names that begin with a dot and names that are none of prompts' are passed over."""
    (tmp_path / "README.md").write_text("nonsense")
    write_prompt(tmp_path / ".hidden", "p", "nonsense")
    write_prompt(tmp_path, ".p", "nonsense")
    write_prompt(tmp_path, "p", GOOD)

    assert await lint(tmp_path) == ()
    assert (await check_paths([tmp_path])).files == 1


class FailingRule(FormatRule):
    """A rule that fails as none should."""

    def tell(self, source: Source) -> PromptFormat:
        if "fail" in source.body:
            raise RuntimeError(source.body)
        return super().tell(source)


async def test_faults_of_our_own(tmp_path: Path) -> None:
    """A file over which lint itself fails is told by its name, and the others are checked."""
    failing = write_prompt(tmp_path, "a", "<user>\nfail s3cret\n</user>")
    write_prompt(tmp_path, "b", GOOD, temperature="hot")

    first, second = await lint(tmp_path, rule=FailingRule())

    assert (first.code, first.path) == ("check-failed", str(failing))
    assert first.message == "a fault of lint's own: RuntimeError"
    assert second.code == "template-invalid"


async def test_links_that_go_round(tmp_path: Path) -> None:
    """A folder is looked into once, whatever links lead to it."""
    write_prompt(tmp_path / "team", "p", GOOD, model=None)
    (tmp_path / "team" / "again").symlink_to(tmp_path)

    assert len(await lint(tmp_path)) == 1


async def test_samples_follow_the_arguments_of_tools(tmp_path: Path) -> None:
    """Arguments of a tool call that no values could make JSON are an error."""
    body = '<assistant>\n<tool name="t" id="1">\n{"a": {{x}}\n</tool>\n</assistant>'

    findings = await lint(write_prompt(tmp_path, "p", body))

    assert [each.code for each in findings] == ["template-invalid"]


DOTPROMPT = """\
---
model: googleai/gemini
input:
  schema:
    name: string
    city: string
---
{{role "system"}}Be brief.
{{role "user"}}{{name}} of {{town}}
"""


async def test_dotprompts(tmp_path: Path) -> None:
    """A dotprompt's schema declares its variables."""
    path = tmp_path / "hello.prompt"
    path.write_text(DOTPROMPT)

    assert codes(await lint(path)) == [("variable-unused", 6, 5), ("variable-undeclared", 9, 28)]


async def test_format_that_cannot_be_told(tmp_path: Path) -> None:
    """A file with signs of no format is an error, unless its format is said."""
    path = tmp_path / "hello.prompt"
    path.write_text("---\nmodel: m\n---\nHi\n")

    assert codes(await lint(path)) == [("template-invalid", 1, None)]
    assert codes(await lint(path, rule=FormatRule("humanloop"))) == []


async def test_root(tmp_path: Path) -> None:
    """With a root, the ids start there: a file's name is then a part of the whole."""
    write_prompt(tmp_path, "team/desk.versions/v1", GOOD)
    path = tmp_path / "team" / "desk.deployments.yaml"
    path.write_text("environments: {production: v2}\n")

    (finding,) = await lint(path, root=tmp_path)

    assert finding.code == "deployment-missing"


async def test_templates_that_compute(tmp_path: Path) -> None:
    """What the sandbox refuses of a template is told, and nothing of it is run outside."""
    header = {"template_language": "jinja"}
    write_prompt(tmp_path, "a", "<user>\n{{ ''.__class__ }}\n</user>", **header)
    write_prompt(tmp_path, "b", "<user>\n{% if %}\n</user>", **header)
    write_prompt(tmp_path, "c", "<user>\n{% for x in xs %}{{ x }}{% endfor %}\n</user>", **header)
    loop = "{% for a in range(999) %}" * 3 + "x" + "{% endfor %}" * 3
    write_prompt(tmp_path, "d", f"<user>\n{loop}\n</user>", **header)

    assert [(each.path[-8:-7], each.code) for each in await lint(tmp_path)] == [
        ("a", "template-forbidden"),
        ("b", "template-invalid"),
        ("d", "template-budget"),
    ]


async def test_lines_of_templates_that_compute(tmp_path: Path) -> None:
    """What is wrong with a text is told by the line of the file, and the file once."""
    body = (
        "<system>\n  fine {{ a }}\n</system>\n<user>\n  one\n\n  two {% if %}\n  three\n</user>"
        '\n<assistant>\n<tool name="t" id="1">\n{"a": "{{ b }}"}\n</tool>\n</assistant>'
    )
    path = write_prompt(tmp_path, "team/p", body, template_language="jinja")

    (finding,) = await lint(path)

    assert (finding.code, finding.line) == ("template-invalid", 13)
    assert finding.message == "expected the syntax of Jinja2"
    assert path.read_text().split("\n")[12] == "  two {% if %}"


@pytest.mark.parametrize("fault", ["{{ b.__class__ }}", "{{ b|nope }}", "{{ [b]|map('upper') }}"])
async def test_lines_of_faults(tmp_path: Path, fault: str) -> None:
    """Whatever is wrong with a text has a line, also where it shows only when it is run."""
    argument = f'<assistant>\n<tool name="t" id="1">\n{{"a": "{fault}"}}\n</tool>\n</assistant>'
    text = write_prompt(tmp_path, "a", f"<user>\n1\n\n{fault}</user>", template_language="jinja")
    call = write_prompt(tmp_path, "b", argument, template_language="jinja")

    assert [each.line for each in await lint(text)] == [10]
    assert [each.line for each in await lint(call)] == [9]


async def test_partials(tmp_path: Path) -> None:
    """A partial is no prompt: it is read with those that include it, and looked at for secrets."""
    partial = tmp_path / "_tone.prompt"
    partial.write_text(f"Be {{{{tone}}}}.\n{'AKIA' + '0' * 16}\n")
    (tmp_path / "hello.prompt").write_text('{{role "system"}}{{>tone}}\n{{>nothing}}')

    findings = await lint(tmp_path)

    assert {(each.path.rpartition("/")[2], each.code) for each in findings} == {
        ("_tone.prompt", "secret-suspected"),
        ("hello.prompt", "template-invalid"),
        ("hello.prompt", "model-missing"),
    }
    assert await lint(partial) == tuple(e for e in findings if e.path == str(partial))
