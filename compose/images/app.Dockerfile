# The project itself. `model` runs Ray's nodes and the jobs, `webapp` the page and the API, `jupyter` the notebook.
# Only the last layers hold our code: a change of it rebuilds in seconds.
FROM python:3.11-slim-bookworm AS packages

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy
# The first packages and the command are those of mlflow.Dockerfile, so that both images share the layer.
RUN --mount=type=cache,target=/var/cache/uv --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    python -m venv /opt/venv \
 && pip install --quiet --root-user-action ignore uv==0.13.9 \
 && uv pip install --quiet --compile-bytecode --python /opt/venv -c /tmp/requirements.lock "mlflow[auth]" boto3 psycopg2-binary
RUN --mount=type=cache,target=/var/cache/uv --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    --mount=type=bind,source=pyproject.toml,target=/tmp/pyproject.toml \
    uv pip install --quiet --compile-bytecode --python /opt/venv -c /tmp/requirements.lock -r /tmp/pyproject.toml
COPY --chmod=755 compose/images/entrypoint compose/images/healthy /usr/local/bin/
# Fargate mounts secrets' folder over one that is there, with its permissions.
RUN install -d -m 1777 /run/secrets
WORKDIR /app
ENV PYTHONPATH=/app HOME=/tmp RAY_USAGE_STATS_ENABLED=0
ENTRYPOINT ["entrypoint"]

FROM packages AS model
RUN useradd --uid 10001 --create-home app && install -d -o app -m 1777 /app/.local
COPY features features
COPY registry registry
COPY ray_jobs ray_jobs
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=$GIT_COMMIT
USER app
CMD ["python", "-m", "ray_jobs.train"]

FROM packages AS webapp
RUN useradd --uid 10002 --create-home app && install -d -o app -m 1777 /app/.local
COPY features features
COPY registry registry
COPY serve serve
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=$GIT_COMMIT HTTP_HOST=0.0.0.0
USER app
EXPOSE 8080
HEALTHCHECK --interval=5s --start-period=90s CMD ["healthy", "http://127.0.0.1:8080/healthz"]
CMD ["python", "-m", "serve"]

FROM model AS jupyter
USER root
RUN --mount=type=cache,target=/var/cache/uv --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    uv pip install --quiet --compile-bytecode --python /opt/venv -c /tmp/requirements.lock jupyterlab
RUN useradd --uid 10005 --create-home reader
COPY --chown=reader notebooks notebooks
USER reader
EXPOSE 8888
CMD ["jupyter", "lab"]
