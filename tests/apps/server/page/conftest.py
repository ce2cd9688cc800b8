"""A tab with the page, for poses of a small figure, in front of scripted answers of the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.browser import ScriptedAnswers, chromium, opened, served
from support.tiny import FIGURE


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    # imported here: the tests skip where FastAPI or Playwright is missing
    from associative_embedding.tasks.pose.task import PoseTask
    from support.page import page_alone

    with served(page_alone(PoseTask(FIGURE))) as url:
        yield url


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as page:
        yield page


@pytest.fixture
def service(tab: Any) -> ScriptedAnswers:
    from support.page import dataset, figure

    return ScriptedAnswers(tab, dataset(figure()))
