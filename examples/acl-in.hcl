# What kvx-in needs for the key `hosts`: data and checksum to write, stop to read.
key_prefix "kvexpress/hosts/" {
  policy = "write"
}
# Where Consul Template runs it, which hands on its token, this policy must let it read the catalog, too. Without that it
# gets an empty one, and no error.
# node_prefix "" {
#   policy = "read"
# }
# service_prefix "" {
#   policy = "read"
# }
