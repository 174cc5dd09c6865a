"""The metrics page, read."""

from tests.fakes.http import fetch


async def figures(port: int) -> dict[str, float]:
    """What the private listener on ``port`` shows, by name with labels."""
    page = (await fetch(port, "GET", "/metrics")).body.decode()
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
