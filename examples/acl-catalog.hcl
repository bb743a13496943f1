# What Consul Template needs in addition to render hosts.ctmpl: the catalog. A token without it gets an empty catalog, and
# no error.
node_prefix "" {
  policy = "read"
}
service_prefix "" {
  policy = "read"
}
