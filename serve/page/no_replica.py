"""What a browser shows where no replica is there to answer. It needs no other file of the server, and looks again."""

import base64
import hashlib
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serve.http.headers import in_place_of_a_replica
from serve.http.problems import KINDS
from serve.page.language import languages

_AGAIN_S = 3
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 15vh auto; width: min(36rem, 100% - 2.5rem); background: light-dark(#f7f5f0, #10181b);
  color: light-dark(#1d2b2f, #e3ecec); font: 1rem/1.55 ui-sans-serif, system-ui, sans-serif; }
h1, h2 { font: 500 2rem/1.2 ui-serif, Georgia, serif; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; }
section + section { margin-top: 2.5rem; color: light-dark(#55666a, #9db0b3); }
"""


def waiting_page(*, request_id: str = "") -> HTMLResponse:
    """The page, in all languages at once, with the status of the problem that programs get in its place."""
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("no_replica.html").render(
        languages=[language.words for language in languages().values()], style=_STYLE, again=_AGAIN_S
    )
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    kind = KINDS["no-replica"]
    headers = in_place_of_a_replica(request_id) | {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "Retry-After": str(kind.retry_after_s),
    }
    return HTMLResponse(html, status_code=kind.status, headers=headers)
