"""A clock that stands still until a test moves it."""


class FakeClock:
    """Seconds, as a monotonic clock has them."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
