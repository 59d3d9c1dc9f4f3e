# The images of a city's line: `web` faces the public, `bot` is Rasa and its action server (README, "Two environments").
# What is installed is what the lock files say, as on one machine.

FROM node:22-slim AS browser
WORKDIR /line/backend/static
COPY backend/static/package.json backend/static/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
# The same copying as setup does: package.json ("vendor") names the files.
RUN node -e 'const fs = require("fs"); fs.mkdirSync("vendor"); \
    for (const [name, source] of Object.entries(require("./package.json").vendor)) \
        fs.copyFileSync("node_modules/" + source, "vendor/" + name)'


FROM python:3.13-slim AS web
WORKDIR /line
ENV PYTHONPATH=/line PYTHONUNBUFFERED=1 PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
# pg_dump, pg_restore and psql: backend/backup.py
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir uv==0.13.9 && useradd --create-home line && mkdir var && chown line var
COPY requirements.web.lock ./
RUN uv pip sync --system --require-hashes --compile-bytecode --no-cache requirements.web.lock
COPY . .
COPY --from=browser /line/backend/static/vendor backend/static/vendor
RUN [ ! -d backend/translations ] || python -m babel.messages.frontend -q compile -d backend/translations
USER line
RUN mkdir /tmp/metrics
EXPOSE 8000
CMD ["sh", "-c", "exec gunicorn --bind 0.0.0.0:8000 --worker-class gthread --workers ${WEB_WORKERS:-2} --threads 32 \
    --graceful-timeout 12 --no-control-socket 'backend.app:create_app()'"]


FROM python:3.10-slim AS bot
WORKDIR /line
ENV PYTHONPATH=/line PYTHONUNBUFFERED=1 \
    RASA_TELEMETRY_ENABLED=false RASA_CACHE_DIRECTORY=/line/var/rasa-cache \
    CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=2 SQLALCHEMY_SILENCE_UBER_WARNING=1 \
    SANIC_KEEP_ALIVE_TIMEOUT=86400
RUN pip install --no-cache-dir uv==0.13.9 && useradd --create-home line && mkdir var && chown line var
COPY requirements.bot.lock ./
RUN uv pip sync --system --require-hashes --compile-bytecode --no-cache requirements.bot.lock
COPY bot bot
COPY nlu_data nlu_data
USER line
RUN python -m rasa train --config bot/config.yml --domain bot/domain.yml --data nlu_data/dialogue \
    --out var/models --fixed-model-name line
CMD ["python", "-m", "rasa", "run", "-i", "0.0.0.0", "--port", "5005", "--model", "var/models", \
    "--endpoints", "bot/endpoints.yml", "--credentials", "bot/credentials.yml"]
