# Stand-ins for the official images of PostgreSQL, Valkey and nginx, where no registry answers: one image for all three.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g 999 -d /var/lib/postgresql postgres \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql-17 valkey-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/17 \
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql
COPY nginx /usr/local/bin/nginx
ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["true"]
