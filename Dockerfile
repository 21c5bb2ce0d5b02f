# An image that serves a run over HTTP (docs/serve.md):
#
#   docker build -t headstart .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/runs/quick-photos:/run-folder:ro" headstart
#
# The image holds PyTorch for processors alone: PyPI's build for Linux brings gigabytes for GPUs.
FROM python:3.13-slim

WORKDIR /headstart
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir -c constraints.txt ".[serve]"

ENV HEADSTART_CACHE=/tmp/headstart
USER 65534
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["headstart", "serve"]
CMD ["/run-folder", "--host", "0.0.0.0"]
