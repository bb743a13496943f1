# What a person needs who stops, locks and repairs: all keys to write, the marks among them, and watches to look at.
# (`consul kv put kvexpress/hosts/stop 'bad DNS, anna'`; kvx-in and kvx-out by hand.)
key_prefix "kvexpress/" {
  policy = "write"
}
