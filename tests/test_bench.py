"""The bench runs, and writes what it measured. How fast anything is stands nowhere in the tests."""

import json
import sys
from pathlib import Path

import pytest
from bench.run import main


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU time is read from /proc")
def test_one_short_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One round of two rows ends in a table and in JSON, without failed calls."""
    monkeypatch.setenv("PEERS_HOME", str(tmp_path))
    output = tmp_path / "result.json"
    options = ("--rounds", "1", "--seconds", "0.1", "--starts", "1", "--rows", "echo,resolve")

    assert main([*options, "--output", str(output)]) == 0

    result = json.loads(output.read_text())
    rows = {row["name"]: row for row in result["rows"]}
    assert rows.keys() == {"echo", "resolve"}
    assert all(row["per_second"] > 0 and row["errors"] == 0 for row in rows.values())
    assert rows["resolve"]["beside"] == "echo"
    assert result["process"].keys() >= {"start_s", "idle_rss_mb", "disk_total_mb"}
    assert str(Path.home()) not in output.read_text()
    assert "Resolve, warm" in capsys.readouterr().out
