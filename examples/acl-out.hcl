# What kvx-out needs for the key `hosts`, key by key. The agent's watch needs the first of them, too, or it never fires:
# README.md has the commands.
key "kvexpress/hosts/checksum" {
  policy = "read"
}
key "kvexpress/hosts/data" {
  policy = "read"
}
key "kvexpress/hosts/stop" {
  policy = "read"
}
key "kvexpress/hosts/hold" {
  policy = "read"
}

# This node's lock. The folder, because the key has the hostname and a hash of the file's path in it: with a rule that
# misses the key, Consul before 1.14 hides the lock without a word.
key_prefix "kvexpress/locks/" {
  policy = "read"
}
