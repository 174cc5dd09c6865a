"""The page of the dashboard in Chromium, with events that it is sent as fast as it takes them."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from playwright.async_api import Browser, Page

from gateway.admin.feed import Feed
from gateway.config.server import AdminSettings
from gateway.telemetry import metrics
from gateway.telemetry.snapshot import Distribution, MetricsSnapshot
from tests.fakes.admin import Deeds, Source, listening

BEGAN_S = 1_767_225_600.0
_ROUTES = 20

_WRONG = re.compile(r"NaN|undefined|Infinity|null|(?<![\w:.-])[-−][0-9]")

_SCRIPT = """
let told = null;
window.watch = () => { window.opened = new Promise((tell) => { told = tell; }); };
window.EventSource = class extends EventTarget {
  static CONNECTING = 0; static OPEN = 1; static CLOSED = 2;
  constructor() { super(); this.readyState = 1; window.tab = this; tab.sent = 0; told?.(); }
  close() { this.readyState = 2; }
  say(name, data) { this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) })); }
};
{
  let real;
  window.drawn = [];
  const drawing = function (...more) {
    window.drawn.push(new real(...more));
    return window.drawn.at(-1);
  };
  Object.defineProperty(window, "uPlot", {
    set(found) { real = found; Object.setPrototypeOf(drawing, found); },
    get() { return drawing; },
  });
}
{
  const { fetch } = window;
  window.asked = 0;
  window.fetch = async (...more) => {
    asked++;
    const answer = await fetch(...more).finally(() => asked--);
    const { json } = answer;
    answer.json = () => {
      asked++;
      return json.call(answer).finally(() => asked--);
    };
    return answer;
  };
}
window.idle = async () => {
  do await new Promise((go) => setTimeout(go, 20)); while (asked);
};
window.day = async (figures, refusal, count, step_s) => {
  for (let at = 0; at < count; at++) {
    const { sent } = tab;
    tab.sent++;
    figures.time_s += step_s;
    figures.requests["2xx"] += 7 + sent % 5;
    for (const route of figures.routes) route.requests += 1;
    figures.refusals.rate_limited += 1;
    for (const counts of Object.values(figures.durations)) counts[4 + sent % 6] += 5;
    for (const worker of figures.workers) worker.cpu_s += 0.01;
    const time = new Date(figures.time_s * 1000).toISOString();
    tab.say("refusals", [{ ...refusal, time, id: `r${sent}` }]);
    tab.say("figures", figures);
    if (at % 50 === 0) await new Promise((go) => setTimeout(go));
  }
  return figures;
};
"""


class Memory(NamedTuple):
    """What the page holds after its garbage was collected."""

    heap_bytes: int
    nodes: int
    listeners: int


class Tab(NamedTuple):
    """The page, and the events that begin its day."""

    page: Page
    events: dict[str, Any]

    async def say(self, name: str, data: object) -> None:
        """Send one event."""
        await self.page.evaluate("([name, data]) => tab.say(name, data)", [name, data])

    async def live(self, events: int, step_s: int = 1) -> None:
        """Send so many events, with a refusal before each."""
        told = [self.events["figures"], self.events["refusals"][0], events, step_s]
        self.events["figures"] = await self.page.evaluate("(told) => day(...told)", told)

    async def times(self) -> list[float]:
        """The times of the points of the plots, which all plots have in common."""
        await self.page.evaluate("new Promise((go) => setTimeout(go))")
        of_all = await self.page.evaluate("drawn.map((each) => Array.from(each.data[0]))")
        assert all(of_all[0] == each for each in of_all)
        return list(of_all[0])

    async def wrong_numbers(self) -> list[str]:
        """Lines of the page with a number that is none, or below zero."""
        text = await self.page.locator("main").inner_text()
        return [line for line in text.splitlines() if _WRONG.search(line)]

    async def memory(self) -> Memory:
        """Collect the garbage, and say what is left, once nothing is asked for any more."""
        await self.page.evaluate("idle()")
        chrome = await self.page.context.new_cdp_session(self.page)
        for command in ("HeapProfiler.enable", "Performance.enable"):
            await chrome.send(command)
        for _ in range(2):  # the first lets go of what finalizers hold
            await chrome.send("HeapProfiler.collectGarbage")
        told = (await chrome.send("Performance.getMetrics"))["metrics"]
        await chrome.detach()
        found = {each["name"]: int(each["value"]) for each in told}
        return Memory(found["JSHeapUsedSize"], found["Nodes"], found["JSEventListeners"])


class _Busy(Source):
    async def snapshot(self) -> MetricsSnapshot:
        routes = {(metrics.REQUESTS.name, f"route-{each},GET,200"): 1.0 for each in range(_ROUTES)}
        counts = {**routes, (metrics.REFUSALS.name, "rate_limited"): 1.0}
        empty = Distribution((0,) * (len(metrics.BUCKETS_S) + 1), 0.0)
        return MetricsSnapshot(counts, {}, {(metrics.REQUEST_DURATION.name, ""): empty})


@asynccontextmanager
async def opened_tab(page: Page) -> AsyncIterator[Tab]:
    """Open the dashboard in ``page``; its events are those that the test sends."""
    source = _Busy()
    source.refused = [
        {"time": "2026-01-01T00:00:00.000Z", "id": "r", "client": "192.0.2.1", "method": "GET"}
        | {"path": "/x", "status": 429, "refusal": "rate_limited", "reason": "limit api"}
    ]
    begin: dict[str, Any] = {}
    async with aclosing(Feed(source, lambda: BEGAN_S, 0.0).events()) as events:  # type: ignore[type-var]
        while "figures" not in begin or "refusals" not in begin:
            begin.update(_read(await anext(events)))
    await page.add_init_script(_SCRIPT)
    settings = AdminSettings.model_validate({"listen": "127.0.0.1:0"})
    async with listening(settings, source, Deeds()) as port:
        await page.goto(f"http://127.0.0.1:{port}/")
        tab = Tab(page, begin)
        for name, data in begin.items():
            await tab.say(name, data)
        yield tab


@asynccontextmanager
async def faultless_tab(browser: Browser) -> AsyncIterator[Tab]:
    """Open the dashboard in a page of its own, which has thrown nothing when the test ends."""
    page = await browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    async with opened_tab(page) as tab:
        yield tab
    await page.close()
    assert [] == faults


def _read(sent: bytes) -> dict[str, Any]:
    """The data of events by their names."""
    events = [part.split("\n") for part in sent.decode().strip().split("\n\n")]
    return {
        name.removeprefix("event: "): json.loads(data.removeprefix("data: "))
        for name, data in events
    }
