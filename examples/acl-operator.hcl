# What an operator needs: to stop, resume, lock, unlock and copy, `kvx status`, and kvx-in and kvx-out by hand. It covers
# every key: keep it on people's machines, not on nodes.
key_prefix "kvexpress/" {
  policy = "write"
}
