#!/bin/sh
# Ways into Consul and out of it, to copy from. (`render` stands for your program, $URL for your file.)
set -eu
# cron looks in /usr/bin and /bin only.
export PATH="$PATH:/usr/local/bin"

# What would change? A unified diff against what is in Consul; nothing is sent.
render | kvx-in -k hosts -n

# Into Consul. If render dies halfway, kvx-in cannot know: it sees an input that ends, and uploads half a file, unless a
# guard stops it. So say how many lines it has at least.
render | kvx-in -k hosts -l 500

# Safer: kvx-in runs it, and uploads nothing unless it exits 0.
kvx-in -k hosts -l 500 -- render

# A file from a URL. With -f an HTTP error is no document, but a transfer that breaks off still is one ...
curl -fsS "$URL" | kvx-in -k motd -l 1

# ... and here it is not: curl exits with 18, and nothing is uploaded.
kvx-in -k motd -l 1 -- curl -fsS "$URL"

# Out of Consul, verified, to stdout.
kvx-out -k hosts -f - | grep -c web

# From one key to another: kvx-out exits with 0 only if all of it was there.
kvx-in -k hosts-before -- kvx-out -k hosts -f -

# Change it, unless somebody else does so at the same time: then kvx-in replaces nothing and exits with 75.
work=$(mktemp)
trap 'rm -f "$work"' EXIT
kvx-out -k hosts -f - >"$work"
seen=$(sha256sum <"$work" | cut -d ' ' -f 1)
sed 's/^10\.0\.0\.1 /10.0.0.201 /' "$work" | kvx-in -k hosts --expect "$seen"
