"""A real browser: pages of other origins and rebound names cannot use the service, and ``/docs`` works by itself."""

from __future__ import annotations

from typing import Any

import pytest

from support.browser import PHONE, chromium, opened, served, violations

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("playwright", reason="needs the extra [browser]")

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from associative_embedding.apps.server.browsers import PAGE_HEADERS, BrowserGuard, allowed_hosts
from support.serving import Running

# Chromium closes its pipes a little late, which Python remarks on.
pytestmark = [pytest.mark.extra, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ATTACK = """<!doctype html><title>another page</title>
<iframe name="hole"></iframe>
<form method="post" target="hole" enctype="text/plain"><input name="a" value="b"></form>
<script>
async function attack(service) {
  const read = [];
  for (const mode of ["cors", "no-cors"])
    for (const [path, method] of [["/predict", "POST"], ["/health", "GET"]])
      try {
        const answer = await fetch(service + path, { method, mode, body: method === "POST" ? "x" : undefined });
        read.push(await answer.text());
      } catch { read.push(""); }
  document.forms[0].action = service + "/predict";
  const sent = new Promise(done => document.querySelector("iframe").onload = done);
  document.forms[0].submit();
  await sent;
  const shown = await new Promise(done => {
    const image = new Image();
    image.onload = () => done(true); image.onerror = () => done(false);
    image.src = service + "/picture.svg";
  });
  return { read: read.join(""), shown };
}
</script>"""


def test_pages_of_other_origins_reach_nothing() -> None:
    asked: list[str] = []
    service, other = FastAPI(), FastAPI()

    def note(path: str) -> Any:
        def answer() -> HTMLResponse:
            asked.append(path)
            return HTMLResponse("<svg xmlns='http://www.w3.org/2000/svg'/>", media_type="image/svg+xml")

        return answer

    service.post("/predict")(note("/predict"))
    service.get("/health")(note("/health"))
    service.get("/picture.svg")(note("/picture.svg"))
    service.get("/")(lambda: HTMLResponse("<title>the service</title>", headers=PAGE_HEADERS))
    service.add_middleware(BrowserGuard, hosts=allowed_hosts())
    other.get("/")(lambda: HTMLResponse(ATTACK))
    names = "--host-resolver-rules=MAP evil.test 127.0.0.1"
    with served(service) as url, served(other) as near, chromium(names) as browser:
        for page in (near, near.replace("127.0.0.1", "localhost"), near.replace("127.0.0.1", "evil.test")):
            tab = browser.new_page()
            tab.goto(page)
            assert tab.evaluate(f"attack('{url}')") == {"read": "", "shown": False}
            assert not asked
        tab = browser.new_page()
        # the name of the attacker now leads to the service
        assert tab.goto(url.replace("127.0.0.1", "evil.test")).status == 403
        assert tab.goto(url).status == 200
        assert tab.evaluate("fetch('/health').then(answer => answer.status)") == 200
        assert tab.evaluate("fetch('/predict', {method: 'POST', body: 'x'}).then(answer => answer.status)") == 200
        assert asked == ["/health", "/predict"]


def test_the_interface_page_needs_no_other_server() -> None:
    with Running() as running, chromium() as browser, opened(browser, f"{running.url}/", viewport=PHONE) as tab:
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{running.url}/docs")
        assert tab.get_by_text("POST /predict").is_visible()
        assert all(address.startswith(running.url) for address in asked)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(tab) == []
        tab.get_by_role("link", name="Page for people").click()
        tab.wait_for_url(f"{running.url}/")
