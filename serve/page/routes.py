"""The page's routes: the page itself, a result as a fragment of it, and the API's description as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.staticfiles import StaticFiles

from features.reading.errors import NEVER_XRAYS
from registry.model.pages import mlflow_page, page_of_version
from registry.settings import Settings
from serve.http.problems import KINDS, ProblemError, of_error, request_id_of
from serve.inference.service import PredictionService
from serve.page.api_page import describe
from serve.page.language import choose_language, languages
from serve.page.numbers import evaluation_groups, facts, rollout_line
from serve.production.model import FailureCode, Served
from serve.schemas import Prediction, Problem

HERE = Path(__file__).parent
_FAILURES = get_args(FailureCode)
_RETRY = {code: kind.retry_after_s for code, kind in KINDS.items() if kind.retry_after_s}


def add_page(app: FastAPI, *, service: PredictionService, settings: Settings) -> None:
    """Add the page to an application."""
    page = _Page(service, settings)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    async def answers(request: Request) -> Sequence[Prediction | Problem]:
        try:
            return (await service.answer(request)).results
        except ProblemError as error:
            request.scope["state"]["problem"] = error.code
            return [of_error(error, request_id=request_id_of(request))]

    @app.get("/", include_in_schema=False)
    async def show(request: Request) -> HTMLResponse:
        return page.render("page.html", request, results=[])

    @app.post("/", include_in_schema=False)
    async def submit(request: Request) -> HTMLResponse:
        results = await answers(request)
        status = results[0].status if len(results) == 1 and isinstance(results[0], Problem) else 200
        return page.render("page.html", request, status=status, results=results)

    @app.post("/page/result", include_in_schema=False)
    async def fragment(request: Request) -> HTMLResponse:
        result = (await answers(request))[0]
        template = "row.html" if request.query_params.get("as") == "row" else "card.html"
        status, headers = 200, {}
        if isinstance(result, Problem):
            status = result.status
            headers = {"Retry-After": str(_RETRY[result.code])} if result.code in _RETRY else {}
        return page.render(template, request, status=status, headers=headers, result=result)

    @app.get("/page/model", include_in_schema=False)
    async def about(request: Request) -> HTMLResponse:
        return page.render("about.html", request)

    @app.get("/card", include_in_schema=False)
    async def model_card(request: Request) -> HTMLResponse:
        return page.render("model_card.html", request, card=_card(service.predictor.served()))

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        return page.render("api.html", request, operations=describe(app.openapi()), kinds=KINDS, prose=_prose)


class _Page:
    """Renders templates with what every one of them needs."""

    def __init__(self, service: PredictionService, settings: Settings) -> None:
        self._holder = service.predictor.holder
        self._remembers = service.recorder is not None
        self._mlflow = mlflow_page(settings)
        self._address = settings.webapp_page_url  # a proxy in front may not say that people came by HTTPS
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self,
        template: str,
        request: Request,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """A template as a response, in the language of the request."""
        language = choose_language(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        words = language.words
        served, failure, candidate = self._holder.served, self._holder.failure, self._holder.candidate
        html = self._environment.get_template(template).render(
            w=words,
            language=language.code,
            languages={code: other.name for code, other in languages().items()},
            path=request.url.path if request.method == "GET" else "/",
            served=served,
            failure=failure,
            failures=_FAILURES,
            remembers=self._remembers,
            rollout=rollout_line(candidate, language) if candidate else "",
            facts=facts(served, language) if served else [],
            numbers=evaluation_groups(served.bundle.evaluation, language) if served else [],
            mlflow=page_of_version(self._mlflow, served.version if served else None),
            base=(self._address or str(request.base_url)).rstrip("/"),
            percent=language.percent,
            never_xrays=NEVER_XRAYS,
            explain=lambda problem: _explain(problem, words),
            **values,
        )
        sent = {"Content-Language": words["html_lang"], "Vary": "Accept-Language", **(headers or {})}
        return HTMLResponse(html, status_code=status, headers=sent)


def _prose(text: str) -> Markup:
    """A description of the API as HTML; it may name code in backticks."""
    return Markup(MarkdownIt("commonmark", {"html": False}).renderInline(text))  # noqa: S704  the renderer escapes


def _card(served: Served) -> Markup:
    """The model card as HTML; what is HTML in it already is shown as text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(markdown.render(served.bundle.card))  # noqa: S704  the renderer escapes


def _explain(problem: Problem, words: Mapping[str, str]) -> str:
    """What is wrong, in the words of the page."""
    if problem.reason:
        return words[f"reason.{problem.reason}"]
    return words.get(f"problem.{problem.code}", words["problem.other"])
