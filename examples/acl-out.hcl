# What kvx-out needs for the key `hosts`. The agent's watch needs the first part too, or it never fires: by the agent's default
# token, or by a "token" of its own beside "key" in watch.json.
key_prefix "kvexpress/hosts/" {
  policy = "read"
}

# Whether somebody has locked this node's file.
key_prefix "kvexpress/locks/" {
  policy = "read"
}
