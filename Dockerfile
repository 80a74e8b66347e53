# The service as an image: what installs it stays in the first stage.

FROM python:3.11-slim-bookworm AS build

# What the service needs: `redis` has the shared cache as well, `all` every extra.
ARG LOCK=server
WORKDIR /src
COPY requirements/all.lock requirements/build.lock requirements/redis.lock requirements/server.lock requirements/
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.lock \
    && python -m venv --without-pip /opt/prompt-resolver \
    && /build/bin/pip --python /opt/prompt-resolver/bin/python install --no-cache-dir \
        --require-hashes -r "requirements/$LOCK.lock"
COPY pyproject.toml README.md ./
COPY clients/python clients/python
COPY service service
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /build/bin/pip --python /opt/prompt-resolver/bin/python install --no-cache-dir --no-deps \
        /dist/*.whl

FROM python:3.11-slim-bookworm

COPY --from=build /opt/prompt-resolver /opt/prompt-resolver
ENV PATH=/opt/prompt-resolver/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PROMPT_RESOLVER_ADMIN_ADDRESS=0.0.0.0:9090
USER 65532:65532
EXPOSE 50051 9090
ENTRYPOINT ["prompt-resolver"]
CMD ["serve"]
