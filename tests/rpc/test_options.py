"""What is asked of gRPC is something that it knows."""

import re
from pathlib import Path

from grpc._cython import cygrpc

ROOT = Path(__file__).parents[2]


def test_options_are_known() -> None:
    """Each option is in gRPC's library, which passes over one that it does not know in silence."""
    sources = [*ROOT.glob("service/**/*.py"), *ROOT.glob("clients/python/**/*.py")]
    text = "".join(path.read_text() for path in sources)
    options = set(re.findall(r'\("(grpc\.[a-z0-9_.]+)",', text))

    library = Path(cygrpc.__file__).read_bytes()

    assert "grpc.keepalive_time_ms" in options
    assert {name for name in options if name.encode() not in library} == set()
