# One image for web, worker and beat; `--build-arg TRAIN=1` adds what transformer training needs.
FROM python:3.11-slim-bookworm
ARG TRAIN=0
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 DATA_DIR=/data
WORKDIR /srv/plumbline
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap && rm -rf /var/lib/apt/lists/*
COPY requirements.txt requirements-train.txt ./
RUN pip install -r requirements.txt && if [ "$TRAIN" = 1 ]; then pip install -r requirements-train.txt; fi
COPY manage.py ./
COPY app app
COPY annotations annotations
COPY routing routing
COPY templates templates
COPY static static
COPY locale locale
COPY demo demo
RUN useradd --system --uid 10001 plumbline && mkdir /data && chown plumbline /data \
    && DEBUG=1 DATA_DIR=/srv/plumbline/build python manage.py check \
    && rm -rf /srv/plumbline/build
USER plumbline
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "app.wsgi", "--bind=0.0.0.0:8000", "--workers=4", "--worker-class=gthread", "--threads=4"]
