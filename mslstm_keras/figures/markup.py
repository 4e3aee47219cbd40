"""Pages of HTML that need nothing beside them: their frame and style, lists of facts, pictures as part of them."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #666; --edge: #ccc; --ground: #fff; --band: #f4f4f4;
  --warning: #b3303f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --faint: #a0a0a0; --edge: #444; --ground: #161618;
  --band: #202024; --warning: #ff8a94; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: var(--ink); background: var(--ground);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
.note { color: var(--faint); max-width: 46rem; }
figure { margin: 1rem 0; } figcaption { color: var(--faint); }
img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; display: block; }
"""


def page(title: str, sections: Iterable[str], *, style: str = "", script: str = "") -> str:
    """Returns a page that may load nothing, and run no script but its own.

    Args:
        title: str. Text of the heading of the window.
        sections: HTML of the page's body.
        style: CSS besides `STYLE`.
        script: JavaScript that runs when the body is there. Default: none.

    Reference: W3C, "Content Security Policy Level 3".
    """
    style = STYLE + style
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    if script:
        policy += f"; script-src {_hash(script)}"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            *sections,
            "</main>",
            *([f"<script>{script}</script>"] if script else []),
            "</body>",
            "</html>",
            "",
        ]
    )


def fact_list(facts: Mapping[str, str]) -> Iterator[str]:
    """Yields a list of facts: name -> text."""
    yield "<dl>"
    yield from (f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    yield "</dl>"


def data_uri(content: bytes, kind: str) -> str:
    """Returns the address of a picture, "png" or "gif", that holds the picture itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _hash(text: str) -> str:
    """Returns the source expression that allows exactly this style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
