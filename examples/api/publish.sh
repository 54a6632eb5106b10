#!/bin/sh
# Publishes a message and waits until it is stored. Repeats it while the server cannot take it: with
# the same id it counts once.
#
#   KEY=ph_… sh examples/api/publish.sh http://127.0.0.1:8080 orders:42 '{ "state": "paid" }' payment-7
set -eu
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
# curl repeats 408, 429 and 503, waits for Retry-After, and overwrites the file.
status=$(curl --silent --show-error --max-time 40 --retry 5 --retry-connrefused --retry-max-time 120 \
  --header "Authorization: Bearer $KEY" --header 'Content-Type: application/json' \
  --data "{ \"room\": \"$2\", \"data\": $3, \"id\": \"$4\" }" \
  --output "$answer" --write-out '%{http_code}' "$1/api/v1/publish" 2>/dev/null) || status=000
if [ "$status" = 200 ]; then
  cat "$answer"
else
  echo "$status: $(cat "$answer")" >&2
  exit 1
fi
