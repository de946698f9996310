# The runtime: `kit classify`, `inspect`, `selftest` and `bench`, numpy, onnxruntime and Pillow; no torch.
# docs/embedding.md says how to build and run it, and how large it is.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE kit.py ./
COPY export export
COPY runtime runtime
COPY trainer trainer
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --prefix=/installed '.[image]'

FROM python:3.13-slim
COPY --from=build /installed /usr/local
RUN useradd --create-home --uid 1000 kit
USER 1000
WORKDIR /home/kit
ENTRYPOINT ["kit"]
CMD ["--help"]
