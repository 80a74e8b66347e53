# The service as an image: what installs it stays in the first stage.

FROM python:3.11-slim-bookworm AS build

WORKDIR /src
COPY requirements/server.lock requirements/server.lock
RUN python -m venv /opt/prompt-resolver \
    && /opt/prompt-resolver/bin/pip install --no-cache-dir --require-hashes -r requirements/server.lock
COPY pyproject.toml README.md ./
COPY clients/python clients/python
COPY service service
RUN /opt/prompt-resolver/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/prompt-resolver/bin/pip uninstall --yes hatchling editables pathspec pluggy trove-classifiers packaging \
    && /opt/prompt-resolver/bin/python -m compileall -q /opt/prompt-resolver/lib \
    && rm -r /opt/prompt-resolver/lib/python3.11/site-packages/pip*

FROM python:3.11-slim-bookworm

COPY --from=build /opt/prompt-resolver /opt/prompt-resolver
ENV PATH=/opt/prompt-resolver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROMPT_RESOLVER_ADMIN_ADDRESS=0.0.0.0:9090
USER 65532:65532
EXPOSE 50051 9090
ENTRYPOINT ["prompt-resolver"]
CMD ["serve"]
