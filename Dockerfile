# gameshard for containers: the locked packages and ours, run by a user who owns nothing but /data.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/gameshard \
    && /opt/gameshard/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY actors actors
COPY bench bench
COPY gateway gateway
COPY persistence persistence
COPY runtime runtime
RUN /opt/gameshard/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home gameshard \
    && install --directory --owner=gameshard --mode=0700 /data
COPY --from=build /opt/gameshard /opt/gameshard
# Ray would run services at nice 15; here they are what the machine is for.
ENV PATH=/opt/gameshard/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAY_worker_niceness=0 \
    GAMESHARD_DATA=/data
USER gameshard
WORKDIR /home/gameshard
EXPOSE 8000
CMD ["gameshard", "run", "--host", "0.0.0.0"]
