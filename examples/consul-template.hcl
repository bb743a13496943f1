# Renders a hosts file whenever the catalog changes, and uploads it.
#
# Three traps, and what this file does about each.
#
# A command that fails ends Consul Template (status 14), and with it all of its templates: one document that is rejected
# would keep every other one from being rendered. So the command ends in `|| true`. What failed is in Consul Template's
# log, as a line of kvx-in.
#
# A command that takes longer than `command_timeout` (30 s) is killed, and ends Consul Template, too. So kvx-in has
# `--timeout 10s`.
#
# A command that failed is not run again until the file changes. So kvx-in@hosts.timer is part of this: it uploads the file
# within a minute of the cause being gone. Until then kvx-in@hosts.service is a failed unit: let that raise the alert
# (README.md), because Consul Template does not.
#
# To end it, send INT, not TERM, which it ignores: its unit needs KillSignal=SIGINT. Two of them would undo each other's work.
#
# With ACLs, a token that may not read the catalog gets an empty one, and no error: acl-catalog.hcl has what it needs.

template {
  source      = "/etc/consul-template/hosts.ctmpl"
  destination = "/var/lib/kvx-in/hosts"

  # One upload for a burst of changes. It costs a second; without it, a change is on all nodes in some fifty milliseconds.
  wait {
    min = "1s"
    max = "10s"
  }

  # -l 10: a catalog that is almost empty is not to empty the file on every node. (--max-shrink 50 guards a large one better.)
  # For a try with few services, lower it.
  # Consul Template does not pipe what it has rendered: `< FILE` does. A string with blanks is run by `sh -c`.
  command = "kvx-in -k hosts -l 10 --timeout 10s < /var/lib/kvx-in/hosts || true"

  # A list is run without a shell, which knows neither `<` nor `||`: so name one.
  # command = ["sh", "-c", "kvx-in -k hosts -l 10 --timeout 10s < /var/lib/kvx-in/hosts || true"]
}
