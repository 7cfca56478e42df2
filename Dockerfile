# One image for every process of the store: the command says which one it is.
# The broker and the object store come with the Python packages that bundle them.
FROM python:3.13-slim

WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE celeryconfig.py ./
COPY api ./api
COPY infra ./infra
COPY schemas ./schemas
COPY tasks ./tasks
COPY workers ./workers

# The lock says which version of a package, pyproject.toml which packages a store needs.
RUN PIP_CONSTRAINT=/src/requirements.lock pip install --no-cache-dir '.[kafka]' \
    && rm -rf /src/*

RUN useradd --system --home-dir /data tams \
    && install --directory --owner=tams --mode=0700 /data
USER tams
WORKDIR /data
VOLUME /data
ENV TAMS_DATA_DIR=/data PYTHONUNBUFFERED=1

ENTRYPOINT ["tams"]
CMD ["up"]
