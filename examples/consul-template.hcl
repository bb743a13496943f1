# Renders a hosts file whenever the catalog changes, and uploads it.
#
# Two traps. A command that fails ends Consul Template (status 14), for all of its templates: let its service manager restart
# it. And after that restart the file is as it should be, so the command is not run again, and the upload would be lost until
# the next change: so enable kvx-in@hosts.timer too. (Once that runs, `... < FILE || true` keeps Consul Template alive, and
# the timer says what was wrong.)
#
# To end it, send INT, not TERM, which it ignores: its unit needs KillSignal=SIGINT. Two of them would undo each other's work.
#
# With ACLs, a token that may not read the catalog gets an empty one, and no error: acl-in.hcl has what it needs.

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
  command = "kvx-in -k hosts -l 10 < /var/lib/kvx-in/hosts"

  # A list is run without a shell, which knows no `<`: so -f.
  # command = ["kvx-in", "-k", "hosts", "-l", "10", "-f", "/var/lib/kvx-in/hosts"]
}
