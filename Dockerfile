# geomfaf on a machine without a graphics card: docker build -t geomfaf . ; docker run --rm -v "$PWD:/data" geomfaf run geomfaf.toml
# Written beside the project; not built where it was written.
FROM python:3.12-slim
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch torchvision
COPY pyproject.toml README.md LICENSE /src/
COPY geomfaf /src/geomfaf
RUN pip install --no-cache-dir "/src[all]" && rm -rf /src
RUN useradd --create-home geologist
USER geologist
WORKDIR /data
ENTRYPOINT ["geomfaf"]
CMD ["--help"]
