"""Pages of HTML: read, and shown in a browser where there is one."""

import base64
import contextlib
import html.parser
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

VOID = {"meta", "img", "br", "input"}
SWITCHES = (
    *(
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
    ),
    *("disable-component-update", "disable-sync", "hide-scrollbars"),
)


class Reader(html.parser.HTMLParser):
    """Reads tables, pictures, text and all attributes of a page, and that its tags are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.tables, self.texts, self.bold = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"style", "script"} & set(self.open):
            return
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        if "strong" in self.open and "td" in self.open:
            self.bold.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def attributes(self, tag):
        """Returns the attributes of each tag of a name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def pictures(self):
        for attributes in self.attributes("img"):
            kind, data = re.fullmatch(r"data:image/(png|gif);base64,(.*)", attributes["src"]).groups()
            with Image.open(io.BytesIO(base64.b64decode(data))) as image:
                assert image.format == kind.upper()
                yield kind, image.size, getattr(image, "n_frames", 1)

    def pixels(self):
        """Returns red, green, blue and opacity of each picture, uint8 (height, width, 4)."""
        contents = [attributes["src"].partition(",")[2] for attributes in self.attributes("img")]
        images = [Image.open(io.BytesIO(base64.b64decode(content))) for content in contents]
        return [np.asarray(image.convert("RGBA")) for image in images]


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def browser_command(folder):
    """Returns the words that start a headless browser, which keeps what it needs in a folder and asks no network."""
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium is installed")
    return [browser, *(f"--{switch}" for switch in SWITCHES), f"--user-data-dir={folder}"]


def browse(page, folder, *options):
    """Runs a browser on a page and returns what it prints."""
    done = subprocess.run(
        [*browser_command(folder), *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


class Browser:
    """A page that Chromium shows, by its DevTools protocol: JSON, each message with a zero behind it.

    Attributes:
        requests: addresses that the page asked for.
        faults: what its scripts raised and what its policy forbade.
    """

    def __init__(self, commands, answers):
        self._commands, self._answers = commands, answers
        self._count, self._session, self.requests, self.faults = 0, {}, [], []

    def call(self, method, **options):
        """Returns the result of a method of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": options, **self._session}
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        return self._until(lambda answer: answer.get("id") == self._count)["result"]

    def open(self, path, scripts):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call("Page.navigate", url=path.as_uri())
        self._until(lambda answer: answer.get("method") == "Page.loadEventFired")

    def value(self, expression):
        """Returns the value of an expression in JavaScript; of a promise, what it becomes."""
        return self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )["result"].get("value")  # fmt: skip

    def press(self, key):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def click(self, selector, across=0.5):
        """Clicks an element in its middle, or another part of its width."""
        box = self.value(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        place = {"x": box["left"] + across * box["width"], "y": box["top"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def _until(self, wanted):
        """Reads messages until the wanted one, and returns it."""
        while True:
            content = bytearray()
            while (byte := self._answers.read(1)) != b"\0":
                assert byte, "the browser has ended"
                content += byte
            answer = json.loads(content)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            elif answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.faults.append(answer["params"])
            if wanted(answer):
                return answer


@contextlib.contextmanager
def shown(path, folder, *, scripts=True, size=(1000, 900)):
    """Shows a page in a browser without a window.

    Args:
        path: file of the page.
        folder: of the browser.
        scripts: bool. Runs the page's scripts.
        size: (width, height) in pixels.
    """
    command = [
        *browser_command(folder),
        "--remote-debugging-pipe",
        f"--window-size={size[0]},{size[1]}",
        "about:blank",
    ]
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()

    def arrange():
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    process = subprocess.Popen(
        command,
        preexec_fn=arrange,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with open(ours_out, "wb") as commands, open(ours_in, "rb") as answers:
            browser = Browser(commands, answers)
            browser.open(path, scripts)
            yield browser
    finally:
        process.kill()
        process.wait()
