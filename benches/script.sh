#!/bin/sh
# The usual hand-written script: fetches a file from Consul with curl, verifies it with sha256sum and installs it.
#
#     script.sh ADDRESS KEY FILE
set -eu

cat >/dev/null # The watch's payload.
url=http://$1/v1/kv/kvexpress/$2
curl -sf -o "$3.new" "$url/data?raw"
echo "$(curl -sf "$url/checksum?raw")  $3.new" | sha256sum --check --status
mv "$3.new" "$3"
