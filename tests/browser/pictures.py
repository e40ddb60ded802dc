"""Makes the pictures in docs/ from a running demo: tests/browser/run.sh BINARY pictures. Not a test: it writes
docs/dashboard.png and docs/dashboard.zh.png."""

import contextlib
import pathlib
import subprocess
import sys

from browser import tab

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
NAMES = {"en": "dashboard.png", "zh": "dashboard.zh.png"}
SIZE = (1280, 1200)
# The picture ends below this card, so that no card is cut in it.
SHOWN, MARGIN = 2, 6
ACCOUNT = "/ui/accounts/wxde30000000000001"
# Larger pictures make a clone slow.
BYTES_MAX = 160_000


@contextlib.contextmanager
def demo(binary, lang):
    """The base URL of a demo that has checked its addresses and gets messages."""
    process = subprocess.Popen([binary, "demo", "--lang", lang], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        base = None
        for line in process.stdout:
            if line.startswith("listening on "):
                base = line.split()[-1]
            if "Ctrl-C" in line:
                break
        assert base, "the demo does not listen"
        yield base
    finally:
        process.terminate()
        process.wait(60)


def main(binary, *_):
    for lang, name in NAMES.items():
        with demo(binary, lang) as base, tab(base, lang, size=SIZE) as watched:
            watched.open(ACCOUNT)
            # Messages of the first seconds, so that today is not empty just after midnight.
            watched.page.wait_for_timeout(20_000)
            watched.page.reload()
            picture = DOCS / name
            last = watched.page.locator(".cards > *").nth(SHOWN - 1).bounding_box()
            clip = {"x": 0, "y": 0, "width": SIZE[0], "height": last["y"] + last["height"] + MARGIN}
            watched.page.screenshot(path=picture, clip=clip)
            bytes_ = picture.stat().st_size
            assert bytes_ <= BYTES_MAX, f"{picture} has {bytes_} bytes"
            print(f"{picture}: {bytes_} bytes")


main(*sys.argv[1:])
