#!/usr/bin/env bash
# two_sites.sh SCRATCH UID: the rest of run.sh, inside a network and a PID namespace of its own. The two sites of deploy/compose start from
# the exported image as a container engine would start them, but on one loopback, so KME-B's ports are 1000 higher.
set -euo pipefail
scratch=$1 user=$2
root=$scratch/root
compose=$(dirname "$0")/../../deploy/compose

fail() { printf '%s\n' "$*" >&2; tail -n 3 "$scratch"/kme-?.log >&2 || true; exit 1; }

# What a container engine gives, and no more: a read-only root, a fresh /tmp, names, the volumes.
readonly sandbox=(bwrap --ro-bind "$root" / --proc /proc --dev /dev --tmpfs /tmp --ro-bind "$scratch/hosts" /etc/hosts
  --unshare-ipc --new-session --die-with-parent
  --clearenv --setenv PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)

# enter NAME: sets `site` to what runs a command in the site's container, as the image's user, without a capability.
enter() {
  site=(setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --no-new-privs "${sandbox[@]}" --unshare-user
    --ro-bind "$scratch/$1" /etc/qkms --bind "$scratch/$1-state" /var/lib/qkms)
}
as_site() {
  enter "$1"
  "${site[@]}" "${@:2}"
}

# An engine would make the mount points, too.
initialise() {
  mkdir -p "$root"/{kme-a,kme-b,clients,compose} "$scratch"/{kme-a,kme-b,kme-a-state,kme-b-state,clients}
  touch "$root/etc/hosts"
  echo 127.0.0.1 localhost kme-a kme-b >"$scratch/hosts"
  "${sandbox[@]}" --unshare-net --cap-add CAP_CHOWN --cap-add CAP_DAC_OVERRIDE --ro-bind "$compose" /compose --bind "$scratch/clients" /clients \
    --bind "$scratch/kme-a" /kme-a --bind "$scratch/kme-b" /kme-b /bin/sh /compose/init.sh
  chown "$user:$user" "$scratch"/kme-?-state
  sed -i 's/0\.0\.0\.0:8/0.0.0.0:9/' "$scratch/kme-b/qkmsd.toml"
  sed -i 's/kme-b:8444/kme-b:9444/' "$scratch/kme-a/qkmsd.toml"
}

mapfile -t command <"$scratch/command"
mapfile -t health <"$scratch/health"

start() {
  enter "$1"
  "${site[@]}" --unshare-pid --as-pid-1 "${command[@]}" 2>"$scratch/$1.log" &
  bwrap_of[$1]=$!
}
# SIGTERM to qkmsd, which is PID 1 in its namespace and bwrap's only child; gives its exit status.
stop() {
  kill -TERM "$(tr -d ' ' <"/proc/${bwrap_of[$1]}/task/${bwrap_of[$1]}/children")"
  wait "${bwrap_of[$1]}"
}

ask() {
  local sae=$1 port=$2 path=$3
  curl --silent --show-error --fail --max-time 10 --cacert "$scratch/clients/sae-ca.crt" --cert "$scratch/clients/$sae.crt" \
    --key "$scratch/clients/$sae.key" "https://localhost:$port/api/v1/keys/$path"
}
first_key() { python3 -c 'import json, sys; print(json.load(sys.stdin)["keys"][0][sys.argv[1]])' "$1"; }
ready() {
  as_site "$1" qkmsctl ready --config /etc/qkms/qkmsd.toml --cert /etc/qkms/health.crt --key /etc/qkms/health.key >/dev/null 2>&1
}
has_key() { ask SAE-A 8443 SAE-B/status 2>/dev/null | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["stored_key_count"] < 1)' 2>/dev/null; }

declare -A bwrap_of
ip link set lo up
initialise
as_site kme-a qkmsd check --config /etc/qkms/qkmsd.toml
as_site kme-a sh -c '! touch /usr/probe /etc/qkms/probe /probe 2>/dev/null && test "$(id -u)" = '"$user" || fail "the sandbox is not what it should be"
as_site kme-a "${health[@]}" >/dev/null 2>&1 && fail "the health check is content without a daemon"

start kme-a
start kme-b
for attempt in $(seq 1 100); do
  if ready kme-a && ready kme-b && has_key; then break; fi
  [ "$attempt" = 100 ] && fail "no keys"
  sleep 0.3
done
for site in kme-a kme-b; do as_site $site "${health[@]}" >/dev/null || fail "the health check of $site failed with $?"; done
echo "both sites are up; their health checks exit with 0"

at_a=$(ask SAE-A 8443 SAE-B/enc_keys)
at_b=$(ask SAE-B 9443 "SAE-A/dec_keys?key_ID=$(first_key key_ID <<<"$at_a")")
[ "$(first_key key <<<"$at_a")" = "$(first_key key <<<"$at_b")" ] || fail "the keys differ"
echo "a key that was got at KME-A was fetched at KME-B"

for site in kme-a kme-b; do stop $site || fail "$site stopped with $?"; done
as_site kme-a "${health[@]}" >/dev/null 2>&1 && fail "the health check is content after the daemon's end"
echo "both stopped on SIGTERM with 0; the health check fails then"
