#!/usr/bin/env bash
# Two KMEs on this machine joined by a simulated QKD link, and both encryptors played with curl. Called by ./dev demo.
# Everything lives in demo-state/ (made anew each time); the simulated link's keys are not secret.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=no
[ "${1:-}" = --keep ] && keep=yes
bin=$PWD/build/release
state=$PWD/demo-state

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

stop_daemons() {
  local file
  for file in "$state"/*/pid; do
    [ -f "$file" ] || continue
    kill "$(cat "$file")" 2>/dev/null || true
    rm -f "$file"
  done
}

stop_daemons
rm -rf "$state"
mkdir -p "$state"

say "A development PKI: three CAs (SAEs, peers, operators), certificates for two KMEs, two encryptors and an operator"
"$bin/cli/qkmsctl" dev-pki --out "$state/pki" --kme KME-A --kme KME-B --sae SAE-A --sae SAE-B --operator admin

# configure NAME OTHER PORT OTHER_PORT: listeners at PORT (SAEs), PORT+1 (peers), PORT+2 (operators)
configure() {
  local name=$1 other=$2 port=$3 other_port=$4 folder=$state/$1
  mkdir -p "$folder"
  "$bin/cli/qkmsctl" new-master-key "file:$folder/master.key"
  cat >"$folder/qkmsd.toml" <<TOML
[kme]
id = "$name"
state_dir = "state"
master_key = "file:master.key"

[sae]
listen = "127.0.0.1:$port"
certificate = "../pki/kme/$name/sae.crt"
key = "../pki/kme/$name/sae.key"
ca = "../pki/sae-ca.crt"

[peer]
listen = "127.0.0.1:$((port + 1))"
certificate = "../pki/kme/$name/peer.crt"
key = "../pki/kme/$name/peer.key"
ca = "../pki/peer-ca.crt"

[operator]
listen = "127.0.0.1:$((port + 2))"
certificate = "../pki/kme/$name/operator.crt"
key = "../pki/kme/$name/operator.key"
ca = "../pki/operator-ca.crt"
allowed = ["admin"]

[[peers]]
id = "$other"
address = "127.0.0.1:$((other_port + 1))"

[[links]]
id = "link-ab"
peer = "$other"
driver = "simulated"
[links.simulated]
seed = "demo"

[[saes]]
id = "SAE-A"
kme = "KME-A"
[[saes]]
id = "SAE-B"
kme = "KME-B"

[[allow]]
master = "SAE-A"
slaves = ["SAE-B"]
[[allow]]
master = "SAE-B"
slaves = ["SAE-A"]
TOML
  "$bin/server/qkmsd" check --config "$folder/qkmsd.toml"
}

start() {
  "$bin/server/qkmsd" --config "$state/$1/qkmsd.toml" 2>"$state/$1/log.json" &
  echo $! >"$state/$1/pid"
}

# Asks as SAE $1 at port $2 for path $3; prints the command first, so that it can be pasted.
ask() {
  local sae=$1 port=$2 path=$3; shift 3
  local command=(curl --silent --show-error --cacert "demo-state/pki/sae-ca.crt" --cert "demo-state/pki/sae/$sae.crt"
    --key "demo-state/pki/sae/$sae.key" "$@" "https://localhost:$port/api/v1/keys/$path")
  { printf '\n$'; printf ' %q' "${command[@]}"; printf '\n'; } >&2
  "${command[@]}"
}

member() { python3 -c 'import json,sys; print(json.load(sys.stdin)["keys"][0][sys.argv[1]])' "$1"; }

say "Configurations and master keys for KME-A and KME-B"
configure KME-A KME-B 8443 9443
configure KME-B KME-A 9443 8443
[ $keep = yes ] || trap stop_daemons EXIT

say "Both daemons start; a simulated QKD link feeds them"
start KME-A
start KME-B
ready() {
  "$bin/cli/qkmsctl" ready --config "$state/$1/qkmsd.toml" --cert "$state/pki/operator/admin.crt" --key "$state/pki/operator/admin.key" >/dev/null 2>&1
}
has_keys() {
  ask SAE-A 8443 SAE-B/status 2>/dev/null | python3 -c 'import json,sys; sys.exit(json.load(sys.stdin)["stored_key_count"] < 10)' 2>/dev/null
}
for attempt in $(seq 1 120); do
  if ready KME-A && ready KME-B && has_keys; then break; fi
  for name in KME-A KME-B; do
    if ! kill -0 "$(cat "$state/$name/pid")" 2>/dev/null; then
      echo "$name did not stay up; its log ends:" >&2; tail -3 "$state/$name/log.json" >&2; exit 1
    fi
  done
  [ "$attempt" = 120 ] && { echo "no keys after a minute; see demo-state/*/log.json" >&2; exit 1; }
  sleep 0.5
done

say "1. Encryptor SAE-A asks its KME what there is for SAE-B"
ask SAE-A 8443 SAE-B/status; echo

say "2. SAE-A gets a new key; it is the master"
answer_a=$(ask SAE-A 8443 SAE-B/enc_keys); echo "$answer_a"
key_id=$(member key_ID <<<"$answer_a")

say "3. SAE-A tells SAE-B the key ID; SAE-B fetches the key at its own KME"
answer_b=$(ask SAE-B 9443 "SAE-A/dec_keys?key_ID=$key_id"); echo "$answer_b"

if [ "$(member key <<<"$answer_a")" = "$(member key <<<"$answer_b")" ]; then
  say "The two keys are equal."
else
  echo "THE KEYS DIFFER" >&2; exit 1
fi

say "4. A second fetch is refused: a key is handed out once"
code=$(ask SAE-B 9443 "SAE-A/dec_keys?key_ID=$key_id" --output "$state/refusal.json" --write-out '%{http_code}')
cat "$state/refusal.json"; echo "  (HTTP $code)"
[ "$code" = 400 ] || { echo "expected HTTP 400" >&2; exit 1; }

if [ $keep = yes ]; then
  say "Both daemons are still up. The commands above can be pasted. To stop them:"
  echo "kill $(cat "$state/KME-A/pid") $(cat "$state/KME-B/pid")"
else
  say "Done; both daemons are stopped. With --keep they stay up."
fi
