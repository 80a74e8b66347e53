"""The files of the page."""

import re
from pathlib import Path

import aiohttp

from prompt_resolver_server.http.page import files
from tests.support.service import RunningService

STATIC = Path(files.__file__).parent / "static"


async def test_files(service: RunningService) -> None:
    """Each file comes with what keeps the page to itself, and again only if it has changed."""
    sources = [path.read_text() for path in STATIC.iterdir()]
    named = set(re.findall(r'(?:"/page/|from "\./)([\w.]+)"', "".join(sources)))
    assert named == {path.name for path in STATIC.iterdir()} - {"index.html"}

    async with aiohttp.ClientSession() as session:
        for path in ["/", *(f"/page/{name}" for name in named)]:
            async with session.get(f"{service.admin_url}{path}") as response:
                assert response.status == 200
                policy = response.headers["Content-Security-Policy"]
                tag = response.headers["ETag"]
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Referrer-Policy"] == "no-referrer"
                assert response.headers["Cache-Control"] == "no-cache"
                assert response.charset == "utf-8"
            for words in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
                assert words in policy
            assert "unsafe" not in policy
            again = {"If-None-Match": tag}
            async with session.get(f"{service.admin_url}{path}", headers=again) as response:
                assert (response.status, await response.read()) == (304, b"")


def test_files_are_small_and_plain() -> None:
    """All files together take less than 40 kB, load nothing from elsewhere and make no markup."""
    texts = {path.name: path.read_text() for path in STATIC.iterdir()}

    assert sum(len(text.encode()) for text in texts.values()) < 40_000
    for name, text in texts.items():
        addresses = re.findall(r"\w+://[^\"]*|@import|url\(", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, name
        markup = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\("
        assert not re.search(markup, text), name
        assert len(text.splitlines()) < 300, name
    assert not re.search(r"<style|style=|<script>|\son\w+=", texts["index.html"])
