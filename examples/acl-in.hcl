# What kvx-in needs for the key `hosts`: data and checksum to write, stop to read.
# (For Consul Template too, which hands its token on: node_prefix "" and service_prefix "", both read.)
key_prefix "kvexpress/hosts/" {
  policy = "write"
}
