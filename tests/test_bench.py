"""The bench runs, and writes what it measured. How fast anything is stands nowhere in the tests."""

import json
import sys
from pathlib import Path

import pytest
from bench import fleet
from bench.fleet_model import Figures, Fleet, predict
from bench.run import main

from tests.support.redis import need_redis


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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="CPU time is read from /proc")
@pytest.mark.foreign
def test_fleets(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, require_all: bool) -> None:
    """Small fleets end in what they did, in what larger ones would do, and without failed calls."""
    need_redis(require_all=require_all)
    output = tmp_path / "fleet.json"
    options = ("--pods", "1,2", "--prompts", "4", "--ttl", "0.5", "--seconds", "1")

    assert fleet.main([*options, "--output", str(output)]) == 0

    result = json.loads(output.read_text())
    assert [(each["pods"], each["redis"]) for each in result["fleets"]] == [
        (1, False),
        (2, False),
        (1, True),
        (2, True),
    ]
    assert all(each["errors"] == each["errors_in_outage"] == 0 for each in result["fleets"])
    assert [each["new_pod"] for each in result["fleets"]] == [False, False, True, True]
    assert {row["pods"] for row in result["model"]} == {1, 2, 10, 100}
    assert "| 100 |" in capsys.readouterr().out


def test_model_of_fleets() -> None:
    """What grows by the instance grows as it was seen to, and the store of a shared cache idles."""
    alone, pair = (Fleet(pods=pods, prompts=19, ttl_s=1, redis=True) for pods in (1, 2))
    figures = [
        Figures(alone, store_requests=20, redis_commands=240),
        Figures(pair, store_requests=20, redis_commands=380),
    ]

    rows = {(row["pods"], row["redis"]): row for row in predict(figures)}

    assert rows[1, True]["redis_commands"] == 240
    assert rows[2, True]["redis_commands"] == 380
    # 200 prompts, each a little more than once a minute; 12 commands of one, 7 of each other.
    assert rows[100, True]["store_requests"] == rows[10, True]["store_requests"] == 3.51
    assert rows[100, True]["redis_commands"] == pytest.approx(3.51 * (12 + 99 * 7), rel=0.01)
    assert rows[100, False]["store_requests"] == pytest.approx(351, rel=0.01)
