# Build: docker build -t edgesam-ls-backend .
# Serve: docker run -p 9090:9090 edgesam-ls-backend

FROM python:3.11-slim AS build
# torch's plain wheel holds CUDA on most indexes. PyTorch's own CPU index is tried first and quickly given up.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.txt docker/install_torch.sh ./
RUN sh install_torch.sh /opt/venv/bin/python "$TORCH_INDEX"
RUN /opt/venv/bin/pip install -r requirements.txt
# What only compiling against torch, testing it, or installing more would need.
RUN cd /opt/venv/lib/python3.11/site-packages \
    && rm -rf torch/include torch/share torch/test torch/lib/*_test.so pip pip-*.dist-info \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -name '*.a' -delete

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin edgesam \
    && install -d -o edgesam -g edgesam /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY docker/healthcheck.py ./
COPY model_assets model_assets
COPY backend backend
RUN python -m compileall -q backend
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=9090 \
    MODEL_DIR=/data
USER 10001
# The graphs of the weights inside: a first start on an empty volume takes them along and serves at once.
RUN python -m backend weights fetch edgesam
VOLUME /data
EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 CMD ["python", "healthcheck.py"]
CMD ["python", "-m", "backend", "serve"]
