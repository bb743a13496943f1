# Goes to /etc/consul.d/ on every node where root runs kvx with a token. While the agent is down, any local user can
# listen on 127.0.0.1:8500 in its place and is given the token; only someone who can write to /run/consul can create
# this socket. docs/security.md says more. (Drop 127.0.0.1 once nothing else on the node needs the port.)
addresses {
  http = "unix:///run/consul/http.sock 127.0.0.1"
}
# Every local user can connect, as to the port. The token decides what they may do.
unix_sockets {
  mode = "0666"
}
