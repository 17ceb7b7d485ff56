# One target per mode: docker build --target mode2 -t innkeeper .
# The root file system may be read-only; /data holds the database, the first key and compiled kernels.
# It listens for others, so it starts only with TLS or behind a proxy that ends it, and says so: give it
# INNKEEPER__SERVER__TLS_CERTIFICATE and INNKEEPER__SERVER__TLS_KEY, or INNKEEPER__SECURITY__PROXIES (the proxy's address).

FROM python:3.12-slim AS install
ENV PIP_NO_CACHE_DIR=1 UV_COMPILE_BYTECODE=1
RUN pip install uv
WORKDIR /srv/innkeeper
COPY requirements.lock pyproject.toml README.md LICENSE manage.py ./
COPY app app
RUN uv venv /srv/venv
ENV VIRTUAL_ENV=/srv/venv
# The lock also holds development tools; only what the chosen extras need is installed, at the locked versions.
RUN uv pip install -c requirements.lock ".[cloud]"

FROM install AS install-mode2
RUN uv pip install -c requirements.lock ".[cloud,cpu]"

FROM install AS install-mode3
RUN uv pip install ".[cloud,gpu]"

FROM python:3.12-slim AS run
RUN useradd --uid 10001 --create-home --home-dir /home/innkeeper innkeeper && install -d -m 700 -o innkeeper /data
WORKDIR /srv/innkeeper
COPY manage.py pyproject.toml ./
COPY app app
COPY profiles profiles
COPY models models
COPY migrations migrations
ENV PATH=/srv/venv/bin:$PATH PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/data/kernels \
    INNKEEPER__SERVER__DATA_FOLDER=/data INNKEEPER__SERVER__HOST=0.0.0.0 INNKEEPER__SERVER__ADMIN_PORT=8718 \
    INNKEEPER__TELEMETRY__LOG_FORMAT=json
USER innkeeper
VOLUME /data
EXPOSE 8717
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8718/health/ready', timeout=2)"]

FROM run AS mode1
COPY --from=install /srv/venv /srv/venv
CMD ["python", "manage.py", "serve", "--mode", "1"]

FROM run AS mode3
COPY --from=install-mode3 /srv/venv /srv/venv
CMD ["python", "manage.py", "serve", "--mode", "3"]

FROM run AS mode2
COPY --from=install-mode2 /srv/venv /srv/venv
CMD ["python", "manage.py", "serve", "--mode", "2"]
