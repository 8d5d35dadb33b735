# showtell serve: `docker build -t showtell .`, then as docs/serving.md says.
FROM python:3.12-slim AS build
# The build of torch for CPUs is a tenth of the one with CUDA: name its index, as PyTorch's page says, by
# --build-arg TORCH_INDEX=ADDRESS. Without it pip takes what the package index has.
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/showtell
ENV PATH=/opt/showtell/bin:$PATH
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src
RUN if [ -n "$TORCH_INDEX" ]; then pip install torch torchvision --index-url "$TORCH_INDEX"; fi \
    && pip install '.[serve,weights,heic]'

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 showtell
COPY --from=build /opt/showtell /opt/showtell
ENV PATH=/opt/showtell/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
USER 10001
WORKDIR /home/showtell
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=4)"]
ENTRYPOINT ["showtell", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
