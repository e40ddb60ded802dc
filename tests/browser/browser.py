"""A headless Chromium. It fails on console messages, requests to other hosts, and violations of the content policy."""

import contextlib
import os
import pathlib
import shutil
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

WIDE, NARROW = (1366, 900), (360, 740)
LOCALES = {"en": "en-GB", "zh": "zh-CN"}
# Reports policy violations that Chromium does not write to the console.
WATCH = "addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"


def chromium():
    path = os.environ.get("MSGCUBE_TEST_CHROMIUM") or shutil.which("chromium")
    assert path, "no chromium: install Debian's package, or name one by MSGCUBE_TEST_CHROMIUM"
    return path


class Tab:
    """One page of the program, and the problems in it."""

    def __init__(self, page, base, expected):
        self.page, self.base, self.expected = page, base, expected
        self.complaints, self.requests = [], []
        page.set_default_timeout(100_000)
        page.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(WATCH)

    def check(self):
        unexpected = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert not unexpected, f"the browser complains: {unexpected}"
        host = urlsplit(self.base).netloc
        others = [url for url in self.requests if not url.startswith("data:") and urlsplit(url).netloc != host]
        assert not others, f"requests to other hosts: {others}"

    def open(self, path):
        self.page.goto(f"{self.base}{path}")

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def fits(self, name):
        """Checks that the page fits every window size, light and dark. Takes pictures."""
        for scheme in ("light", "dark"):
            for width, (across, down) in (("wide", WIDE), ("narrow", NARROW)):
                self.page.emulate_media(color_scheme=scheme)
                self.page.set_viewport_size({"width": across, "height": down})
                assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is too wide for {across} pixels"
                self.shoot(f"{name}-{scheme}-{width}")

    def shoot(self, name):
        """Saves a picture if a folder is named."""
        if folder := os.environ.get("MSGCUBE_SCREENSHOTS"):
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@contextlib.contextmanager
def tab(base, lang="en", scheme="light", size=WIDE, expected=()):
    """A fresh browser at this address. At its end it must have no problems except the expected ones."""
    with sync_playwright() as playwright:
        # The sandbox of Chromium does not work for root.
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"] if os.getuid() == 0 else [])
        try:
            context = browser.new_context(
                locale=LOCALES[lang],
                color_scheme=scheme,
                viewport={"width": size[0], "height": size[1]},
                permissions=["clipboard-read", "clipboard-write"],
            )
            watched = Tab(context.new_page(), base, expected)
            yield watched
            watched.check()
        finally:
            browser.close()
