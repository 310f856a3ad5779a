#!/bin/sh
# What the two KMEs of compose.yaml need before their first start. It runs as root, in the image itself: a development PKI, a
# configuration and a master key for each, and the clients' credentials in /clients. Every KME gets its own files and no others. The CAs'
# keys are forgotten: they were in memory only. A second run does nothing.
set -eu
user=10014
[ -e /kme-b/master.key ] && exit 0

pki=/tmp/pki
rm -rf $pki
qkmsctl dev-pki --out $pki --kme KME-A --kme KME-B --sae SAE-A --sae SAE-B --operator admin --operator health
cp $pki/*-ca.crt $pki/sae/* $pki/operator/admin.* /clients
chown -R --reference=/clients /clients
for site in A B; do
  volume=/kme-$(echo $site | tr AB ab)
  cp "/compose$volume.toml" "$volume/qkmsd.toml"
  cp $pki/kme/KME-$site/* $pki/*-ca.crt $pki/operator/health.* "$volume"
  rm -f "$volume/master.key"
  qkmsctl new-master-key "file:$volume/master.key"
  chown -R $user:$user "$volume"
done
rm -rf $pki
