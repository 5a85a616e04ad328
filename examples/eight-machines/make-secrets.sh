#!/bin/sh
# Makes the example's keys and secrets anew: an age key for every machine and one for the administrator,
# and every secret value, encrypted with sops to those who may read it. What the fleet does in earnest
# with `reconcile vars generate` is spelled out here, to show that the files are plain sops.
#
# Needs age-keygen, sops, ssh-keygen, openssl, and the private keys may be thrown away: they are published.
set -eu
umask 022
cd "${0%/*}"

machines="stibnite blackphos rosegold argentum cinnabar electrum galena scheelite"
servers="cinnabar electrum galena scheelite"
web="electrum galena"
always_on="argentum cinnabar electrum galena scheelite"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf vars sops
mkdir -p example-keys
for name in $machines admin; do
  rm -f "example-keys/$name.txt"
  age-keygen -o "example-keys/$name.txt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  chmod 0644 "example-keys/$name.txt"
  case $name in admin) folder=sops/users/$name ;; *) folder=sops/machines/$name ;; esac
  mkdir -p "$folder"
  printf '{\n  "publickey": "%s",\n  "type": "age"\n}\n' "$(age-keygen -y "example-keys/$name.txt")" >"$folder/key.json"
done

# secret PATH VALUE-FILE MACHINE…: readable by the administrator and those machines.
secret() {
  path=$1
  value=$2
  shift 2
  mkdir -p "$path/users"
  up=$(echo "$path/users" | sed 's,[^/]*,..,g')
  ln -s "$up/sops/users/admin" "$path/users/admin"
  recipients=$(age-keygen -y example-keys/admin.txt)
  for machine in "$@"; do
    mkdir -p "$path/machines"
    ln -s "$up/sops/machines/$machine" "$path/machines/$machine"
    recipients=$recipients,$(age-keygen -y "example-keys/$machine.txt")
  done
  sops --encrypt --age "$recipients" --input-type binary --output-type json "$value" >"$path/secret"
}

# public PATH VALUE-FILE
public() {
  mkdir -p "$1"
  cp "$2" "$1/value"
}

head -c 32 /dev/urandom | openssl base64 -A >"$work/psk"
secret vars/shared/mesh/psk "$work/psk" $machines
printf '10.23.0.0/16' >"$work/network"
public vars/shared/mesh/network "$work/network"
printf '{"network":"10.23.0.0/16"}' | openssl sha256 -r | cut -d' ' -f1 | tr -d '\n' >vars/shared/mesh/.validation-hash

for machine in $always_on; do
  rm -f "$work/key" "$work/key.pub"
  ssh-keygen -q -t ed25519 -N '' -C "backup@$machine" -f "$work/key"
  secret "vars/per-machine/$machine/backup/key" "$work/key" "$machine"
  public "vars/per-machine/$machine/backup/key.pub" "$work/key.pub"
done

for machine in $servers; do
  head -c 18 /dev/urandom | openssl base64 -A >"$work/password"
  openssl passwd -6 -in "$work/password" | tr -d '\n' >"$work/hash"
  secret "vars/per-machine/$machine/root-password/password" "$work/password"
  secret "vars/per-machine/$machine/root-password/hash" "$work/hash" "$machine"
done

for machine in $web; do
  openssl req -x509 -newkey ed25519 -nodes -days 3650 -subj "/CN=$machine.example.org" \
    -keyout "$work/tls" -out "$work/cert" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  secret "vars/per-machine/$machine/tls/key" "$work/tls" "$machine"
  public "vars/per-machine/$machine/tls/cert.pem" "$work/cert"
done
