# Renders a hosts file whenever the catalog changes, and uploads it.
#
# Two traps. A command that fails ends Consul Template (status 14): let its service manager restart it. And after that
# restart the file is as it should be, so the command is not run again, and the upload would be lost until the next change:
# so enable kvx-in@hosts.timer too.

template {
  source      = "/etc/consul-template/hosts.ctmpl"
  destination = "/var/lib/kvx-in/hosts"

  # One upload for a burst of changes.
  wait {
    min = "1s"
    max = "10s"
  }

  # -l 10: a catalog that is almost empty is not to empty the file on every node. For a try with few services, lower it.
  # Consul Template does not pipe what it has rendered: `< FILE` does. A string with blanks is run by `sh -c`.
  command = "kvx-in -k hosts -l 10 < /var/lib/kvx-in/hosts"

  # A list is run without a shell, which knows no `<`: so -f.
  # command = ["kvx-in", "-k", "hosts", "-l", "10", "-f", "/var/lib/kvx-in/hosts"]
}
