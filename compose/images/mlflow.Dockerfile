# MLflow's server with what it needs to keep its records in Postgres and its files in an S3 store.
FROM python:3.11-slim-bookworm

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy
RUN --mount=type=cache,target=/var/cache/uv --mount=type=bind,source=requirements.lock,target=/tmp/requirements.lock \
    python -m venv /opt/venv \
 && pip install --quiet --root-user-action ignore uv==0.13.9 \
 && uv pip install --quiet --compile-bytecode --python /opt/venv -c /tmp/requirements.lock "mlflow[auth]" boto3 psycopg2-binary

# Fargate mounts secrets' folder over one that is there, with its permissions.
RUN useradd --uid 10003 --create-home app && install -d -m 1777 /run/secrets
COPY --chmod=755 compose/images/entrypoint compose/images/healthy compose/images/tracking-server /usr/local/bin/
COPY --chmod=755 compose/images/make-buckets compose/images/database-password /usr/local/bin/
COPY --chmod=444 compose/images/rds-authorities.pem /usr/local/share/rds/authorities.pem
COPY compose/images/proxied /usr/local/share/proxied
ENV PYTHONPATH=/usr/local/share/proxied
USER app
WORKDIR /home/app
EXPOSE 5000
HEALTHCHECK --interval=5s --start-period=60s CMD ["healthy", "http://127.0.0.1:5000/health"]
ENTRYPOINT ["entrypoint"]
CMD ["tracking-server"]
