"""Label Studio's labelling page in a headless Chromium, as a person uses it: keys, clicks, buttons."""

import re
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

PATIENCE_MS = 120_000
# No sandbox: CI runs as root. No host but loopback: the page must not wait for the internet.
FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
IMAGE = "[...Htx.annotationStore.selected.names.values()].find(one => one.type === 'image')"
# Where the picture lies on the page, in CSS pixels, and its own size; null until it is shown.
PLACE = f"""() => {{
    const canvas = document.querySelector('.konvajs-content')?.getBoundingClientRect();
    const image = canvas && window.Htx?.annotationStore?.selected && {IMAGE};
    return image && image.naturalWidth > 1 && image.stageWidth > 1 && {{
        x: canvas.x + image.zoomingPositionX, y: canvas.y + image.zoomingPositionY,
        width: image.stageWidth * image.zoomScale, height: image.stageHeight * image.zoomScale,
        own: [image.naturalWidth, image.naturalHeight]}};
}}"""
TOOL = f"name => {IMAGE}.getToolsManager().findSelectedTool()?.fullName === name"
SUGGESTED = "count => Htx.annotationStore.selected.suggestions.size === count"


@contextmanager
def labelling_page(chromium, address, account):
    """A signed-in page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            page = browser.new_context(viewport={"width": 1500, "height": 900}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            page.goto(f"{address}/user/login/")
            page.fill("input[name=email]", account.email)
            page.fill("input[name=password]", account.password)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "/user/login" not in url)
            yield page
        finally:
            browser.close()


def open_task(page: Page, address, project, task):
    """Opens the task for labelling with Auto-Annotation on; returns the size of the picture as it is shown."""
    page.goto(f"{address}/projects/{project}/data?task={task}")
    _place(page)
    page.wait_for_load_state("networkidle")  # until then the page may build the canvas anew
    if not page.evaluate("() => Htx.autoAnnotation"):
        page.get_by_text("Auto-Annotation", exact=True).click()
        page.wait_for_function("() => Htx.autoAnnotation")
    return tuple(_place(page)["own"])


def choose(page: Page, tool, label):
    """Clicks on the label that has this hotkey, which frees the keys from the switch, and chooses a smart tool by its
    key: K the click, R the box."""
    page.locator(".lsf-label").filter(has_text=re.compile(rf"{label}$")).click()
    page.keyboard.press(tool)
    page.wait_for_function(TOOL, arg={"k": "KeyPointTool-dynamic", "r": "RectangleTool-dynamic"}[tool])


def click(page: Page, x, y, alt=False):
    """Clicks at a place in percent of the picture; returns what was asked and answered."""
    with _answer(page) as answer:
        if alt:
            page.keyboard.down("Alt")
        page.mouse.click(*_at(page, x, y))
        if alt:
            page.keyboard.up("Alt")
    return _exchange(answer.value)


def drag(page: Page, x, y, width, height):
    """Draws a box given in percent of the picture; returns what was asked and answered."""
    with _answer(page) as answer:
        page.mouse.move(*_at(page, x, y))
        page.mouse.down()
        page.mouse.move(*_at(page, x + width / 2, y + height / 2))
        page.mouse.move(*_at(page, x + width, y + height))
        page.mouse.up()
    return _exchange(answer.value)


def suggested(page: Page):
    """Waits until the page shows one suggestion."""
    page.wait_for_function(SUGGESTED, arg=1)


def accept(page: Page):
    """The tick: the suggestion becomes a region."""
    suggested(page)
    page.get_by_test_id("bottombar-accept-suggestions-button").click()
    page.wait_for_function(SUGGESTED, arg=0)


def submit(page: Page):
    """Submits; returns the annotation that Label Studio stored."""
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as stored:
        page.get_by_role("button", name="Submit").click()
    return stored.value.json()


def _place(page):
    return page.wait_for_function(PLACE).json_value()


def _at(page, x, y):
    place = _place(page)
    return place["x"] + place["width"] * x / 100, place["y"] + place["height"] * y / 100


def _answer(page):
    return page.expect_response(lambda answer: "/interactive-annotating" in answer.url)


def _exchange(response):
    return response.request.post_data_json["context"]["result"], response.json()
