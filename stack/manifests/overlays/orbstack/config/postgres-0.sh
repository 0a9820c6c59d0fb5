# Becomes PostgreSQL. A cluster is made beside its place and moved there whole: a kill leaves none or a good one.
set -eu
umask 077
data=/var/lib/postgresql/cluster
if [ ! -s "$data/PG_VERSION" ]; then
  rm -rf "$data.part"
  initdb -D "$data.part" -U hft --pwfile=/srv/hftctl/secrets/postgres_password \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-instructions
  mv "$data.part" "$data"
fi
cp "${0%.sh}.conf" "$data/postgresql.conf"
echo 'host all all all scram-sha-256' > "$data/pg_hba.conf"
exec postgres -D "$data"
