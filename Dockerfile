# The page in the browser and the HTTP API; see docs/web.md.
# On a CPU:          docker build -t sr-web .
# On NVIDIA GPUs:    docker build -t sr-web --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 .
FROM python:3.12-slim-bookworm

# Wheels of torch; those of CUDA bring their libraries, the host only needs NVIDIA's container toolkit.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# The cache is open to whatever user `docker run --user` names; a volume takes over its mode.
RUN useradd --create-home --uid 10001 sr \
    && mkdir --parents /data /home/sr/.cache \
    && chown sr:sr /data /home/sr/.cache \
    && chmod 755 /home/sr && chmod 1777 /home/sr/.cache
WORKDIR /opt/sr

# Torch apart, so that a change of the code does not download it again.
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.11" "torchvision>=0.26"
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY sr ./sr
RUN pip install --no-cache-dir ".[web]"

USER sr
WORKDIR /data
# USER: torch asks for a name, which the id of another user does not have here.
ENV HOME=/home/sr USER=sr XDG_CACHE_HOME=/home/sr/.cache GRADIO_ANALYTICS_ENABLED=False
# /data: images and videos. The cache: downloaded weights, the list of runs, measured back ends.
VOLUME ["/data", "/home/sr/.cache"]
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
# Secrets are files of the host that only the user in the container can read: docs/web.md.
ENTRYPOINT ["sr-web"]
CMD ["--listen", "0.0.0.0", "--user", "sr", "--password-file", "/run/secrets/sr_password", "--token-file", "/run/secrets/sr_token", "--folder", "/data"]
