#!/bin/sh
# What happens on a node (tests/tools/node) from `dpkg -i` to `dpkg -P`, under a real systemd; tests/docs/packages.rs reads it.
# Beside it: kvx.deb, examples/, and `address`, Consul's. Each step that is not as it should be ends it.
set -eu
here=$(dirname "$0")
address=$(cat "$here/address")

fail() { echo "not so: $*"; systemctl status --no-pager 'kvx-*' consul 2>&1 | tail -n 40; exit 1; }
must() { "$@" || fail "$*"; }
must_not() { ! "$@" || fail "not $*"; }
waited() { # for ten seconds, until a command succeeds
    tries=0
    until "$@" >/dev/null 2>&1; do tries=$((tries + 1)) && [ $tries -lt 1000 ] || fail "$*, after 10 s"; sleep 0.01; done
}
says() { grep -qF -- "$1" "$2" || fail "$2 says \"$1\": $(cat "$2")"; }
document() { seq "$1" | sed 's/.*/10.0.0.& web-&/'; }
upload() { document "$1" | CONSUL_HTTP_ADDR=$address kvx-in -k hosts 2>/dev/null; }
script() { cat >"$1" && chmod 755 "$1"; }
as_installed() { sed "s|^# export CONSUL_HTTP_TOKEN_FILE=.*|export CONSUL_HTTP_ADDR=$address|" "/usr/share/doc/kvx/examples/kvx-hosts"; }

# This machine may have some already.
rm -rf /var/lib/kvx /usr/local/bin/kvx* /etc/systemd/system/kvx* /etc/hosts.consul

echo "== installed"
# (Without triggers: man-db would look at all of this machine's pages, for seconds.)
dpkg --no-triggers -i "$here/kvx.deb" >"$here/dpkg" 2>&1 || fail "dpkg -i: $(cat "$here/dpkg")"
must [ "$(stat -c '%a %U' /var/lib/kvx)" = "700 root" ]
must [ -z "$(systemctl list-units --all --plain --no-legend 'kvx*')" ]
must [ -z "$(find /etc/systemd/system -name 'kvx*')" ]
for program in kvx kvx-in kvx-out; do must $program --version >/dev/null; done

echo "== kvx-in@hosts uploads what was rendered, as a user of its own"
mkdir -p /var/lib/kvx-in /etc/kvx /etc/systemd/system/kvx-in@hosts.service.d
document 600 >/var/lib/kvx-in/hosts
echo secret >/etc/kvx/token-in && chmod 600 /etc/kvx/token-in
{
    echo "[Service]"
    echo "Environment=CONSUL_HTTP_ADDR=$address"
    sed -n 's/^# \(LoadCredential=.*\|Environment=CONSUL_HTTP_TOKEN_FILE.*\)/\1/p' /usr/lib/systemd/system/kvx-in@.service
    # To see who it is.
    echo "ExecStartPost=sh -c 'id -un; cat /etc/kvx/token-in; touch /var/tmp/mark /etc/mark'"
    echo "StandardOutput=append:$here/kvx-in"
    echo "StandardError=append:$here/kvx-in"
} >/etc/systemd/system/kvx-in@hosts.service.d/test.conf
must [ "$(grep -cE '^LoadCredential|^Environment' /etc/systemd/system/kvx-in@hosts.service.d/test.conf)" = 3 ]
systemctl daemon-reload
systemctl start kvx-in@hosts 2>/dev/null || : # The spy fails, as it should.
says "hosts: 600 lines" "$here/kvx-in"
says "kvx-in" "$here/kvx-in"
says "cat: /etc/kvx/token-in: Permission denied" "$here/kvx-in"
says "'/etc/mark': Read-only file system" "$here/kvx-in"

echo "== kvx-out@hosts installs it, and signals a daemon that is another user's, as pkill -HUP does"
script /usr/local/bin/dnsmasq <<'SH'
#!/bin/sh
trap 'echo hup >>/run/dnsmasq/hups' HUP
echo up >/run/dnsmasq/up
while :; do sleep 1000 & wait; done
SH
cat >/run/systemd/system/dnsmasq.service <<'UNIT'
[Service]
ExecStart=/usr/local/bin/dnsmasq
ExecReload=/bin/kill -HUP $MAINPID
User=daemon
RuntimeDirectory=dnsmasq
UNIT
systemctl daemon-reload
systemctl start dnsmasq && waited [ -e /run/dnsmasq/up ]
as_installed | script /usr/local/bin/kvx-hosts
must systemctl start kvx-out@hosts
must [ "$(document 600)" = "$(cat /etc/hosts.consul)" ]
must [ "$(stat -c '%a %U' /etc/hosts.consul)" = "644 root" ]
waited [ "$(wc -l </run/dnsmasq/hups)" = 1 ]

echo "== ... and reloads it by systemctl, for a file that is somebody else's"
as_installed | sed "s/-e .*/-e 'systemctl reload dnsmasq' -o daemon:daemon/" | script /usr/local/bin/kvx-hosts
must systemctl start kvx-out@hosts
hups() { [ "$(wc -l </run/dnsmasq/hups)" = "$1" ]; }
waited hups 2
must [ "$(stat -c %U /etc/hosts.consul)" = daemon ]
must [ "$(ls /var/lib/kvx | wc -l)" = 1 ]

echo "== its path unit undoes what somebody does to the file"
systemctl start kvx-out@hosts.path
echo "10.9.9.9 typo" >>/etc/hosts.consul
undone() { [ "$(document 600)" = "$(cat /etc/hosts.consul)" ]; }
waited undone
waited hups 3
systemctl stop kvx-out@hosts.path

echo "== a handler may not do more than the unit's comments say, unless a drop-in lets it"
override=/etc/systemd/system/kvx-out@hosts.service.d/more.conf
mkdir -p "${override%/*}"
may() { # with what line of a unit; then what kvx-out is told
    as_installed | sed "s|-c 644.*|$2|" | script /usr/local/bin/kvx-hosts
    rm -f $override && systemctl daemon-reload
    must_not systemctl start kvx-out@hosts 2>/dev/null
    printf '[Service]\n%s\n' "$1" >$override && systemctl daemon-reload
    must systemctl start kvx-out@hosts
}
may ReadWritePaths=/srv "-e 'touch /srv/reloaded'"
may "CapabilityBoundingSet=CAP_SETUID CAP_SETGID" "-e 'runuser -u daemon true'"
may "CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_AUDIT_WRITE" "-e 'sudo -n -u daemon true'"
may RestrictSUIDSGID=no "-c 2755"
rm -f $override && systemctl daemon-reload
as_installed | sed "s|-e .*|--always-run -e 'visudo -cq'|" | script /usr/local/bin/kvx-hosts
must systemctl start kvx-out@hosts

echo "== an agent that is not root: sudo for all of it"
useradd --system --home-dir /etc/consul.d --no-create-home --shell /bin/false consul 2>/dev/null || :
mkdir -p /etc/sudoers.d /etc/consul.d
install -m 440 "$here/examples/sudoers-kvx" /etc/sudoers.d/kvx
must visudo -cq
upload 601
as_installed | script /usr/local/bin/kvx-hosts
as_consul() { setpriv --reuid=consul --regid=consul --init-groups --reset-env "$@"; }
must as_consul sudo -n /usr/local/bin/kvx-hosts 2>/dev/null
must [ "$(document 601)" = "$(cat /etc/hosts.consul)" ]
waited hups 4
must_not as_consul sudo -n /usr/local/bin/kvx-hosts -f /etc/passwd 2>/dev/null
must_not as_consul sudo -n /bin/sh 2>/dev/null

echo "== ... or a state directory of its own"
mkdir -p /etc/systemd/system/consul.service.d
cp "$here/examples/consul-kvx.conf" /etc/systemd/system/consul.service.d/kvx.conf
cat >/run/systemd/system/consul.service <<UNIT
[Service]
Type=oneshot
User=consul
StateDirectory=consul
Environment=CONSUL_HTTP_ADDR=$address
ExecStart=/usr/bin/kvx-out -k hosts -f /var/lib/consul/hosts
UNIT
systemctl daemon-reload
must systemctl start consul
must [ "$(ls /var/lib/kvx-consul | wc -l)" = 1 ]
# The timer as that user, as the examples' README says.
printf '#!/bin/sh\nCONSUL_HTTP_ADDR=%s exec kvx-out -v -k hosts -f /var/lib/consul/hosts\n' "$address" | script /usr/local/bin/kvx-mine
mkdir -p /etc/systemd/system/kvx-out@mine.service.d
cat >/etc/systemd/system/kvx-out@mine.service.d/user.conf <<UNIT
[Service]
User=consul
StateDirectory=
StateDirectory=kvx-consul
ReadWritePaths=/var/lib/consul
StandardError=file:$here/mine
UNIT
systemctl daemon-reload
must systemctl start kvx-out@mine
says unchanged "$here/mine"
must [ "$(ls /var/lib/kvx-consul | wc -l)" = 1 ]

echo "== removed, and purged"
dpkg --no-triggers -r kvx >/dev/null
must [ -d /var/lib/kvx ]
must_not [ -e /usr/bin/kvx-out ]
dpkg --no-triggers -P kvx >/dev/null 2>&1
must_not [ -e /var/lib/kvx ]
must_not [ -e /usr/share/doc/kvx ]
must [ -e /etc/hosts.consul ]
echo "== done"
