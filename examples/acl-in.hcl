# What kvx-in needs for the key `hosts`, key by key. It replaces the document. It cannot lift a stop or a hold: only an
# operator can (acl-operator.hcl), so a stop outlasts the next upload, whoever has this token.
key "kvexpress/hosts/data" {
  policy = "write"
}
key "kvexpress/hosts/checksum" {
  policy = "write"
}
key "kvexpress/hosts/record" {
  policy = "write"
}
# The history: its versions and their documents. Without these two, give --keep 0.
key_prefix "kvexpress/kvx/history/hosts/" {
  policy = "write"
}
key_prefix "kvexpress/kvx/parts/hosts/" {
  policy = "write"
}
key "kvexpress/hosts/stop" {
  policy = "read"
}
key "kvexpress/hosts/hold" {
  policy = "read"
}
