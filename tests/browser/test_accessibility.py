"""The page for people who cannot see it well or have no mouse; axe-core judges in every state."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.actions import answered, ask
from tests.browser.conftest import npm_package

_AXE = "() => axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations)"


def violations(page: Any) -> list[str]:
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in page.evaluate(_AXE)
        if each["impact"] in ("serious", "critical", "moderate")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Any, address: str, scheme: str) -> None:
    script = (npm_package("axe-core") / "axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#examples li")
    page.evaluate(script)
    assert violations(page) == []
    page.click("#example")
    answered(page)
    page.evaluate("() => { document.body.dataset.answered = ''; }")
    page.check("#compare")
    answered(page)
    for fold in page.locator("details.gains summary").all():
        fold.click()
    page.click("#left", position={"x": 60, "y": 60})
    page.wait_for_selector("#tip:not([hidden])")
    assert violations(page) == []
    page.set_viewport_size({"width": 375, "height": 700})
    assert violations(page) == []
    page.click("#browse")
    page.wait_for_selector("#thumbnails li")
    assert violations(page) == []
    page.goto(f"{address}/docs")
    page.wait_for_selector(".operations section")
    page.evaluate(script)
    assert violations(page) == []
    context.close()


def test_from_an_empty_page_to_a_hidden_class_without_a_mouse(page: Any) -> None:
    page.wait_for_selector("#examples li")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(each) => document.activeElement.matches(each)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    page.keyboard.press("Tab")  # the first stop leads past the header
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    tab_to("#examples button")
    page.keyboard.press("Enter")
    answered(page)
    count = page.locator("#legend li").count()
    ask(page, "rocket")
    assert page.locator("#legend li").count() == count + 1
    tab_to("#legend button")
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector("#legend .hidden-class")
    page.keyboard.press("Enter")
    page.wait_for_selector("#legend button[aria-pressed=true]")
