#!/usr/bin/env bash
# Builds the container image, looks at what is in it, and runs two sites from it: read-only root, uid 10014, bubblewrap instead of a
# container engine. Needs root: the image's files keep their owners. Everything that is started lives in a PID and network namespace
# of its own (two_sites.sh), so it ends with this script and no port is shared. Ends with "image test: passed".
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || exec sudo -- "tests/image/$(basename "$0")" "$@"

image=localhost/qkms-test
user=10014
scratch=$(mktemp -d /var/tmp/qkms-image.XXXXXX)
container=
clean_up() {
  [ -z "$container" ] || podman rm --volumes "$container" >/dev/null
  rm -rf "$scratch"
}
trap clean_up EXIT
root=$scratch/root

say() { printf '== %s\n' "$*"; }
fail() { printf 'image test: FAILED: %s\n' "$*" >&2; exit 1; }

# none WHAT COMMAND...: the command finds nothing, and says so with a status that is no error.
none() {
  local what=$1 found; shift
  found=$("$@") || fail "could not look for $what"
  [ -z "$found" ] || fail "$what: $found"
}

look_at_the_settings() {
  podman image inspect "$image" >"$scratch/image.json"
  python3 - "$scratch" $user <<'PYTHON'
import json, pathlib, sys
scratch, user = pathlib.Path(sys.argv[1]), sys.argv[2]
image = json.loads((scratch / "image.json").read_text())[0]
config = image["Config"]
assert config["User"] == f"{user}:{user}", config["User"]
assert config["StopSignal"] == "SIGTERM", config["StopSignal"]
assert sorted(config["Volumes"]) == ["/etc/qkms", "/var/lib/qkms"], config["Volumes"]
assert all(word.startswith(("PATH=", "container=")) for word in config.get("Env", [])), config["Env"]
check = image["Healthcheck"]["Test"]
assert check[0] == "CMD", check
(scratch / "health").write_text("\n".join(check[1:]) + "\n")
(scratch / "command").write_text("\n".join(config["Entrypoint"] + config["Cmd"]) + "\n")
PYTHON
}

compilers() {
  find "$root" -xdev -type f -regextype posix-extended \
    -regex '.*/(cc|c[+][+]|([^/]*-)?(gcc|g[+][+]|cpp|clang([+][+])?|ld|as)(-[0-9.]+)?|cc1|cc1plus|cmake|ninja|make|git|ccache|protoc)'
  find "$root" -xdev \( -name '*.a' -o -name '*.h' -o -name '*.hpp' \) -type f
}
# Some folders are closed to the user, and find complains.
writable() { setpriv --reuid $user --regid $user --clear-groups find "$root" -xdev ! -type l -writable 2>/dev/null || true; }
private_keys() {
  find "$root" -xdev -type f \( -name '*.key' -o -name '*.p12' -o -name '*.pfx' \)
  grep -rIlE --devices=skip '^-----BEGIN ([A-Z]+ )?PRIVATE KEY-----' "$root" || [ $? = 1 ]
}
privileged() { find "$root" -xdev -type f -perm /6000; }

say "build"
started=$SECONDS
deploy/build-image.sh "$image" >"$scratch/build.log" 2>&1 || { tail -40 "$scratch/build.log"; fail "the build"; }
echo "built in $((SECONDS - started)) s: $(podman image inspect --format '{{.Size}}' "$image") bytes"

say "what is in it"
look_at_the_settings
mkdir "$root"
chmod 0755 "$scratch"
container=$(podman create --no-healthcheck "$image")
podman export "$container" | tar -x --same-owner --same-permissions -C "$root"
[ -x "$root/usr/local/bin/qkmsd" ] || fail "no qkmsd"
none "a compiler or what belongs to one" compilers
[ "$(writable)" = "$root/var/lib/qkms" ] || fail "uid $user may write to more than /var/lib/qkms: $(writable)"
none "a private key" private_keys
none "a program that gives privileges" privileged

say "two sites"
timeout --kill-after=10 120 unshare --net --pid --fork --kill-child --mount --mount-proc tests/image/two_sites.sh "$scratch" $user \
  || fail "two sites"
echo "image test: passed"
