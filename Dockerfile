# The pipeline for machines with NVIDIA GPUs (driver 580 or newer): what `make` installs, no more.
#
#   docker build --tag bacl .
#   docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" \
#       --volume "$PWD:$PWD" --workdir "$PWD" bacl
#
# The second line runs `dvc repro` on this folder. Mounted under its own path, so that the paths
# that MLflow and DVC keep hold inside and outside.
#
# With `--build-arg BASE=ubuntu:24.04 --build-arg FORCE_CUDA=0` the image has no nvcc and is built
# in a fraction of the time: NMS and RoIAlign then come from torchvision.

# torch 2.13.0 requires cuda-toolkit 13.0.3: mmcv's operators only compile with the same CUDA.
ARG BASE=nvidia/cuda:13.0.3-devel-ubuntu24.04
FROM ${BASE}

RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        g++ git libgl1 libglib2.0-0 make python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# No GPU is there while an image is built, so mmcv has to be told to compile for CUDA, and for
# which GPUs: T4, A100, RTX 30 and 40, H100, B200, RTX 50 and what comes after.
ARG FORCE_CUDA=1
ARG TORCH_CUDA_ARCH_LIST="7.5 8.0 8.6 9.0 10.0 12.0+PTX"
# Parallel compilations, by default one a core; about 3 GB of memory each.
ARG MAX_JOBS
ARG PIP_NO_CACHE_DIR=1
ENV VENV=/opt/venv PATH=/opt/venv/bin:$PATH

# Before the sources, so that an edit of them does not install and compile everything again.
WORKDIR /project
COPY Makefile pyproject.toml README.md ./
RUN mkdir pipeline stages && touch pipeline/__init__.py stages/__init__.py && make install
RUN test "$FORCE_CUDA" = 0 || python -c "import torch, mmcv.ops as ops; \
    built = ops.get_compiling_cuda_version(); \
    assert built == torch.version.cuda, f'mmcv: CUDA {built}, torch: CUDA {torch.version.cuda}'"

# Any user may run it (--user): git accepts a folder of another owner, and HOME is writable.
RUN useradd --create-home bacl && chmod 777 /home/bacl && chown bacl /project \
    && git config --system --add safe.directory '*'
ENV HOME=/home/bacl USER=bacl
COPY --chown=bacl . .
USER bacl
CMD ["dvc", "repro"]
