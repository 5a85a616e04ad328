#!/bin/sh
# Makes the example's keys and secrets anew: an age key for every machine and one for the administrator, and every
# value, as an administrator does it with `reconcile vars`. The fleet has no input, so there is no shell that a
# generator's script could be run by: what a script would make is made here, and set.
#
# Needs reconcile, nix, age-keygen, ssh-keygen and openssl, and a git repository around it. The private keys may be thrown
# away: they are published.
set -eu
umask 022
cd "$(dirname "$0")"

machines="stibnite blackphos rosegold argentum cinnabar electrum galena scheelite"
servers="cinnabar electrum galena scheelite"
web="electrum galena"
always_on="argentum cinnabar electrum galena scheelite"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf vars sops
mkdir -p example-keys
set --
for name in $machines admin; do
  rm -f "example-keys/$name.txt"
  age-keygen -o "example-keys/$name.txt" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  chmod 0644 "example-keys/$name.txt"
  case $name in admin) option=--add-user ;; *) option=--add-machine ;; esac
  set -- "$@" "$option" "$name=$(age-keygen -y "example-keys/$name.txt")"
done
git add -A .
reconcile vars rekey "$@"

# Who may read a value, the fleet declares: the machines that have it, with `deploy`, and its administrators.
value() { reconcile vars set "$@"; }

head -c 32 /dev/urandom | openssl base64 -A | value cinnabar mesh/psk
printf '10.23.0.0/16' | value cinnabar mesh/network

for machine in $always_on; do
  rm -f "$work/key" "$work/key.pub"
  ssh-keygen -q -t ed25519 -N '' -C "backup@$machine" -f "$work/key"
  value "$machine" backup/key <"$work/key"
  value "$machine" backup/key.pub <"$work/key.pub"
done

for machine in $servers; do
  head -c 18 /dev/urandom | openssl base64 -A >"$work/password"
  value "$machine" root-password/password <"$work/password"
  openssl passwd -6 -in "$work/password" | tr -d '\n' | value "$machine" root-password/hash
done

for machine in $web; do
  openssl req -x509 -newkey ed25519 -nodes -days 3650 -subj "/CN=$machine.example.org" \
    -keyout "$work/tls" -out "$work/cert" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  value "$machine" tls/key <"$work/tls"
  value "$machine" tls/cert.pem <"$work/cert"
done

reconcile vars check
