# What an operator needs: to roll back, hold, release, stop, resume, lock, unlock and copy, `kvx status` and `kvx history`,
# and kvx-in and kvx-out by hand. It covers every key: keep it on people's machines, not on nodes.
key_prefix "kvexpress/" {
  policy = "write"
}
