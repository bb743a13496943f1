# fish completion of kvx, kvx-in and kvx-out.

# Whether this is one of these commands of kvx.
function __kvx_is
    set -l words (commandline -opc)
    test (count $words) -gt 1; and contains -- $words[2] $argv; and not contains -- -- $words
end

# The keys of the Consul that the words before name.
function __kvx_keys
    set -l words (commandline -opc)
    set -l to
    while set -q words[1]
        switch $words[1]
            case -s -p -t --server --prefix --dc --token-file --token --ca-file --client-cert --client-key --tls-server-name
                set -a to $words[1] (string replace -r '^~/' "$HOME/" -- $words[2])
                set -e words[1]
            case '--server=*' '--prefix=*' '--dc=*' '--token-file=*' '--token=*' '--ca-file=*' '--client-cert=*' \
                '--client-key=*' '--tls-server-name=*'
                set -a to $words[1]
        end
        set -e words[1]
    end
    command kvx list -q --timeout 1s $to 2>/dev/null </dev/null
end

# Whether a command is behind --.
function __kvx_runs
    set -l words (commandline -opc)
    contains -- -- $words; or return
    switch $words[1]
        case '*kvx'
            contains -- "$words[2]" in out raw
    end
end

# What fish knows of the command behind --.
function __kvx_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -e words[1..$at]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

# The options, layer by layer; $argv is of which command.
function __kvx_telling
    complete $argv -s v -l verbose -d 'also say what was not done'
    complete $argv -s q -l quiet -d 'say nothing but errors'
    complete $argv -l log-format -x -a 'text json' -d 'what lines on stderr look like'
    complete $argv -l version -d 'print the version'
    complete $argv -s h -l help -d 'print a short help'
end
function __kvx_site
    complete $argv -s p -l prefix -x -d 'folder of all keys'
    complete $argv -l timeout -x -d 'give up on Consul after so long'
    complete $argv -s s -l server -x -d 'address of Consul'
    complete $argv -l dc -x -d datacenter
    complete $argv -l token-file -r -F -d 'file with the ACL token'
    complete $argv -s t -l token -x -d 'the ACL token itself, for all to see in ps'
    complete $argv -l ca-file -r -F -d 'the CA\'s certificate'
    complete $argv -l client-cert -r -F -d 'our certificate'
    complete $argv -l client-key -r -F -d 'its private key'
    complete $argv -l tls-server-name -x -d 'name that Consul\'s certificate has'
    __kvx_telling $argv
end
function __kvx_metrics
    complete $argv -l dogstatsd -d 'send metrics to dogstatsd'
    complete $argv -l metrics-prefix -x -d 'what the names of metrics begin with'
    complete $argv -l metrics-textfile -x -a '(__fish_complete_directories)' -d 'write metrics for node_exporter'
end
function __kvx_events
    complete $argv -l events -d 'with --dogstatsd: an event, too'
end
function __kvx_key
    complete $argv -s k -l key -x -a '(__kvx_keys)' -d 'name of the document in Consul'
end
function __kvx_file
    complete $argv -s f -l file -r -F -d 'the file'
end
function __kvx_state
    complete $argv -l state-dir -x -a '(__fish_complete_directories)' -d 'what is recorded of files'
end
function __kvx_reason
    complete $argv -s r -l reason -x -d why
end
function __kvx_both
    complete $argv -l ignore-stop -d 'though the key is stopped'
    complete $argv -l consistent -d 'read from a leader that is confirmed'
    complete $argv -s l -l min-lines -x -d 'refuse a document of fewer lines'
    complete $argv -l max-size -x -d 'refuse a larger document'
    complete $argv -l max-shrink -x -d 'refuse what has so much less than before'
    complete $argv -l force -d 'let through what --max-shrink refuses'
    __kvx_file $argv
    __kvx_metrics $argv
    __kvx_site $argv
end
function __kvx_in
    complete $argv -s u -l url -x -d 'read the document from this URL'
    complete $argv -s S -l sorted -d 'sort the lines, without empty ones'
    complete $argv -s z -l compress -d 'store it compressed'
    complete $argv -l expect -x -d 'replace only the document with this checksum'
    complete $argv -s n -l dry-run -d 'show the difference, send nothing'
    __kvx_key $argv
    __kvx_events $argv
    __kvx_both $argv
end
function __kvx_installing
    complete $argv -s c -l chmod -x -d 'mode of the file, in octal'
    complete $argv -s o -l owner -x -a '(__fish_complete_users)' -d 'owner of the file'
    complete $argv -l check -x -a '(__fish_complete_command)' -d 'command that has to approve of the new file, {}'
    complete $argv -l mkdir -d 'create the directories above the file'
    complete $argv -l in-place -d 'write through the file that is there'
    complete $argv -s e -l exec -x -a '(__fish_complete_command)' -d 'handler, run if the file has changed'
    complete $argv -l handler-timeout -x -d 'give up on the handler after so long'
    complete $argv -l ignore-lock -d 'though the file is locked'
    complete $argv -l always-run -d 'run the handler even if nothing has changed'
    complete $argv -l splay -x -d 'wait first, each host its own share'
    complete $argv -l wait -x -d 'wait for a key that is not there yet'
    complete $argv -l payload -d 'read a watch\'s payload from stdin'
    complete $argv -l stale -d 'read from any server'
    __kvx_state $argv
    __kvx_both $argv
end
function __kvx_out
    complete $argv -l raw -x -d 'the value of this key, a whole path'
    __kvx_key $argv
    __kvx_installing $argv
end

for program in kvx kvx-in kvx-out
    complete -c $program -e
    complete -c $program -f
    complete -c $program -n __kvx_runs -a '(__kvx_command)'
end
__kvx_in -c kvx-in
__kvx_out -c kvx-out

set -l one -c kvx -n __fish_is_first_token
for command in \
    status\t'how the keys in Consul and the files of this node are' \
    list\t'the keys, one a line' \
    diff\t'how a file differs from what is in Consul' \
    stop\t'stop a key, everywhere' \
    resume\t'let a stopped key go on' \
    lock\t'keep a file on this node as it is' \
    unlock\t'let a locked file go on' \
    copy\t'copy a document to another key' \
    in\t'a document into Consul' \
    out\t'a document out of Consul, into a file' \
    raw\t'the value of any key into a file' \
    clean\t'take away what was left beside a file' \
    help\t'list the commands'
    set -l word (string split \t -- $command)
    complete $one -a $word[1] -d $word[2]
end
complete $one -s h -l help -d 'list the commands'
complete $one -l version -d 'print the version'

__kvx_in -c kvx -n '__kvx_is in'
__kvx_out -c kvx -n '__kvx_is out'
complete -c kvx -n '__kvx_is raw' -s k -l key -x -d 'path of the key'
__kvx_installing -c kvx -n '__kvx_is raw'
complete -c kvx -n '__kvx_is status' -l json -d 'as JSON'
complete -c kvx -n '__kvx_is diff' -F
complete -c kvx -n '__kvx_is stop' -l force -d 'also a key that is not there yet'
complete -c kvx -n '__kvx_is stop lock' -l replace -d 'replace the reason of an earlier one'
complete -c kvx -n '__kvx_is unlock' -l run -d 'then run what has installed it'
complete -c kvx -n '__kvx_is copy' -l from -x -a '(__kvx_keys)' -d 'the key to copy'
complete -c kvx -n '__kvx_is copy' -l to -x -a '(__kvx_keys)' -d 'the key that is to have it'
complete -c kvx -n '__kvx_is copy' -l ignore-stop -d 'though the other key is stopped'
complete -c kvx -n '__kvx_is clean' -l remove-file -d 'remove the file, too'
__kvx_key -c kvx -n '__kvx_is status diff stop resume'
__kvx_file -c kvx -n '__kvx_is status lock unlock clean'
__kvx_state -c kvx -n '__kvx_is status lock unlock clean'
__kvx_reason -c kvx -n '__kvx_is stop lock'
__kvx_events -c kvx -n '__kvx_is stop lock copy'
__kvx_metrics -c kvx -n '__kvx_is stop lock unlock copy'
__kvx_site -c kvx -n '__kvx_is status list diff stop resume lock unlock copy'
__kvx_telling -c kvx -n '__kvx_is clean'
functions -e __kvx_telling __kvx_site __kvx_metrics __kvx_events __kvx_key __kvx_file __kvx_state __kvx_reason __kvx_both \
    __kvx_in __kvx_installing __kvx_out
