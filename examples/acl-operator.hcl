# What a person needs who stops, locks and repairs: all keys to write, the marks among them, and watches to look at.
# (kvx stop, resume, lock, unlock, copy, status; kvx-in and kvx-out by hand.)
key_prefix "kvexpress/" {
  policy = "write"
}
