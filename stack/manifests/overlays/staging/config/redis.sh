# Becomes Valkey (or Redis, whichever the image has); with `ping` asks the one that runs.
set -eu
if [ "${1:-}" = ping ]; then
  # Over its standard input: neither a command line nor a variable, which others can read.
  cli=$(command -v valkey-cli || command -v redis-cli)
  printf 'AUTH %s\nPING\n' "$(cat /srv/hftctl/secrets/redis_password)" | "$cli" -p 6379 | grep -qx PONG
  exit
fi
exec "$(command -v valkey-server || command -v redis-server)" "${0%.sh}.conf"
