# What kvx-out needs for the key `hosts`. The agent's watch needs the first part too: without it, it never fires.
key_prefix "kvexpress/hosts/" {
  policy = "read"
}

# Whether somebody has locked this node's file.
key_prefix "kvexpress/locks/" {
  policy = "read"
}
