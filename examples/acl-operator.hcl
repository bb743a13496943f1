# What a person needs who stops, locks and repairs: all keys to read and to write, the marks among them.
# (kvx stop, resume, lock, unlock, copy, status; kvx-in and kvx-out by hand.)
key_prefix "kvexpress/" {
  policy = "write"
}
