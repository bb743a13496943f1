# fish completion of kvx, kvx-in and kvx-out.

# Whether the line runs one of these commands, and the cursor is before a --.
function __kvx_is
    contains -- (__kvx_command) $argv; and not contains -- -- (commandline -opc)
end

# The command that the line runs: kvx-in is `kvx in`.
function __kvx_command
    set -l words (commandline -opc)
    switch "$words[1]"
        case '*kvx-in'
            echo in
        case '*kvx-out'
            echo out
        case '*'
            echo "$words[2]"
    end
end

# The keys of the Consul that the words before name.
function __kvx_keys
    command kvx list -q --timeout 1s (__kvx_where) 2>/dev/null </dev/null
end

# The versions of the key that the words before name.
function __kvx_versions
    command kvx history --names -q --timeout 1s (__kvx_where -k --key) 2>/dev/null </dev/null
end

# The words before that say which Consul and which keys are meant, and these options.
function __kvx_where
    set -l words (commandline -opc)
    set -l to
    while set -q words[1]
        set -l name (string split -m 1 = -- $words[1])[1]
        if __kvx_is_of_list $words[1]; or contains -- $words[1] $argv
            set -a to $words[1] (string replace -r '^~/' "$HOME/" -- $words[2])
            set -e words[1]
        else if string match -q -- '--*=*' $words[1]; and begin; __kvx_is_of_list $name; or contains -- $name $argv; end
            set -a to $words[1]
        end
        set -e words[1]
    end
    string join -- \n $to
end

# Whether the cursor is after a --, and the command runs what follows it.
function __kvx_runs
    contains -- -- (commandline -opc); and __kvx_may_run (__kvx_command)
end

# What fish offers for the command after --.
function __kvx_behind_dashes
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -e words[1..$at]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

set -l all -c kvx -c kvx-in -c kvx-out
for program in kvx kvx-in kvx-out
    complete -c $program -e
    complete -c $program -f
    complete -c $program -n __kvx_runs -a '(__kvx_behind_dashes)'
end
set -l first -c kvx -n __fish_is_first_token
complete $first -s h -l help -d 'list the commands'
complete $first -l version -d 'print the version'

# Generated from src/cli/args by `make generate`: do not edit this part.
complete $first -a status -d 'Show the state of the keys in Consul and of this node\'s files'
complete $first -a list -d 'List the keys, one a line'
complete $first -a history -d 'List the versions of a key, the newest first'
complete $first -a show -d 'Print the document in Consul, or an earlier version of it'
complete $first -a diff -d 'Show how a file or a version differs from the document in Consul'
complete $first -a stop -d 'Stop a key: it is neither uploaded nor installed until it is resumed'
complete $first -a rollback -d 'Restore an earlier document on all nodes, and hold the key at it'
complete $first -a resume -d 'Resume a stopped key'
complete $first -a hold -d 'Hold a key at its document'
complete $first -a release -d 'Release a held key'
complete $first -a lock -d 'Lock a file on this node'
complete $first -a unlock -d 'Unlock a file on this node'
complete $first -a copy -d 'Copy a document to another key'
complete $first -a in -d 'Upload a rendered file into Consul\'s KV store, if it has changed'
complete $first -a out -d 'Install a verified file from Consul\'s KV store'
complete $first -a raw -d 'Install the value of any key into a file'
complete $first -a clean -d 'Remove what was left next to a file, and its state'
complete $first -a help -d 'list the commands'

complete $all -n '__kvx_is diff' -F
complete $all -n '__kvx_is status' -s k -l key -x -a '(__kvx_keys)' -d 'only this key, and the files installed from it'
complete $all -n '__kvx_is status' -s f -l file -r -F -d 'only this file, and its key'
complete $all -n '__kvx_is status history' -l json -d 'print JSON'
complete $all -n '__kvx_is status lock unlock out raw clean' -l state-dir -x -a '(__fish_complete_directories)' -d 'directory for the state of installed files'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s p -l prefix -x -d 'folder of all keys in the KV store [default: kvexpress]'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy clean' -l timeout -x -d 'limit for all requests to Consul [default: 30s]'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s s -l server -x -d 'address of Consul: host:port, https://host:port or unix:///path'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l dc -x -d 'datacenter [default: the agent\'s own]'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l token-file -r -F -d 'file with the ACL token'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s t -l token -x -d 'the ACL token itself'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l ca-file -r -F -d 'file with the CA\'s certificate, for https'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l client-cert -r -F -d 'file with the client certificate, if Consul requires one'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l client-key -r -F -d 'file with its private key [default: CONSUL_CLIENT_KEY]'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l tls-server-name -x -d 'name in Consul\'s certificate, if it is not the address\'s'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s v -l verbose -d 'also log unchanged files and retries'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s q -l quiet -d 'log errors only'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l log-format -x -a 'text json' -d 'format of the lines on stderr'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -l version -d 'print the version'
complete $all -n '__kvx_is status list history show diff stop rollback resume hold release lock unlock copy in out raw clean' -s h -l help -d 'display usage information'
complete $all -n '__kvx_is history show diff stop rollback resume hold release in' -s k -l key -x -a '(__kvx_keys)' -d 'name of the document in Consul, such as hosts'
complete $all -n '__kvx_is history' -l names -d 'print only what --at accepts, one a line'
complete $all -n '__kvx_is show' -l at -x -a '(__kvx_versions)' -d 'a version from kvx history'
complete $all -n '__kvx_is diff' -l from -x -a '(__kvx_versions)' -d 'compare this version, named as for kvx show --at'
complete $all -n '__kvx_is diff' -l to -x -a '(__kvx_versions)' -d 'with this version [default: the document in Consul]'
complete $all -n '__kvx_is stop hold lock' -s r -l reason -x -d 'why'
complete $all -n '__kvx_is stop' -l force -d 'also stop a key that does not exist yet'
complete $all -n '__kvx_is stop' -l replace -d 'replace the reason of a key that is stopped already'
complete $all -n '__kvx_is stop lock copy' -l events -d 'with --dogstatsd, also send an event'
complete $all -n '__kvx_is stop lock unlock copy in out raw' -l dogstatsd -d 'send metrics to dogstatsd, as --dogstatsd or --dogstatsd=address'
complete $all -n '__kvx_is stop lock unlock copy in out raw' -l metrics-prefix -x -d 'prefix of the metrics\' names [default: kvexpress]'
complete $all -n '__kvx_is stop lock unlock copy in out raw' -l metrics-textfile -x -a '(__fish_complete_directories)' -d 'write metrics into this directory, for the textfile collector of Prometheus\'s node_exporter'
complete $all -n '__kvx_is rollback' -l to -x -a '(__kvx_versions)' -d 'the version to restore'
complete $all -n '__kvx_is rollback' -s m -l note -x -d 'why: kept with the document, and in the hold'
complete $all -n '__kvx_is rollback' -l no-hold -d 'do not hold the key: the next upload replaces the document'
complete $all -n '__kvx_is rollback' -l resume -d 'also resume a stopped key'
complete $all -n '__kvx_is rollback' -s n -l dry-run -d 'show the difference to the document in Consul and change nothing'
complete $all -n '__kvx_is hold' -l replace -d 'replace an existing hold, of whichever document'
complete $all -n '__kvx_is release' -l force -d 'release it even if Consul has another document'
complete $all -n '__kvx_is lock unlock' -s f -l file -r -F -d 'the file'
complete $all -n '__kvx_is lock' -l replace -d 'replace the reason of a file that is locked already'
complete $all -n '__kvx_is unlock' -l run -d 'rerun the command that installed the file, and exit with its status'
complete $all -n '__kvx_is copy' -l from -x -a '(__kvx_keys)' -d 'the key to copy'
complete $all -n '__kvx_is copy' -l to -x -a '(__kvx_keys)' -d 'the key to copy it to'
complete $all -n '__kvx_is copy' -l ignore-stop -d 'copy even if the other key is stopped'
complete $all -n '__kvx_is copy' -l ignore-hold -d 'copy even if the other key is held at another document, and move the hold to the new one'
complete $all -n '__kvx_is copy in' -s m -l note -x -d 'why: kept with the document, and shown by kvx status'
complete $all -n '__kvx_is copy' -l keep -x -d 'number of versions to keep in the other key\'s history, plus one for each of the last 24 hours'
complete $all -n '__kvx_is in' -s f -l file -r -F -d 'read the document from this file, - for stdin [default: -]'
complete $all -n '__kvx_is in' -s u -l url -x -d 'read the document from this http or https URL'
complete $all -n '__kvx_is in' -s S -l sorted -d 'sort the lines, drop empty ones and the final newline, as kvexpress does'
complete $all -n '__kvx_is in' -s z -l compress -d 'store it compressed'
complete $all -n '__kvx_is in out raw' -s l -l min-lines -x -d 'minimum number of lines'
complete $all -n '__kvx_is in' -l max-size -x -d 'maximum size as stored, in bytes or with K, M'
complete $all -n '__kvx_is in' -l max-shrink -x -d 'reject a document that is smaller than the one in Consul by more than this, in lines or bytes'
complete $all -n '__kvx_is in out raw' -l force -d 'ignore --max-shrink'
complete $all -n '__kvx_is in' -l expect -x -d 'replace only a document with this checksum'
complete $all -n '__kvx_is in' -l ignore-stop -d 'upload even if the key is stopped'
complete $all -n '__kvx_is in' -l ignore-hold -d 'upload even if the key is held at another document, and move the hold to the new one'
complete $all -n '__kvx_is in' -s n -l dry-run -d 'show the difference to the document in Consul and send nothing'
complete $all -n '__kvx_is in' -l keep -x -d 'number of versions to keep in the key\'s history, plus one for each of the last 24 hours'
complete $all -n '__kvx_is in' -l events -d 'with --dogstatsd, send events'
complete $all -n '__kvx_is in out raw' -l consistent -d 'read from a leader that the other servers have confirmed'
complete $all -n '__kvx_is in' -l timeout -x -d 'limit for reading the input, and then for all requests to Consul'
complete $all -n '__kvx_is out' -s k -l key -x -a '(__kvx_keys)' -d 'name of the document in Consul, such as hosts'
complete $all -n '__kvx_is out' -l raw -x -d 'install the value at this whole path instead of a document'
complete $all -n '__kvx_is out raw' -s f -l file -r -F -d 'file to install, or - for stdout'
complete $all -n '__kvx_is out raw' -l max-size -x -d 'maximum size of the document, in bytes or with K, M'
complete $all -n '__kvx_is out raw' -l max-shrink -x -d 'reject a document that is smaller than the installed file by more than this, in lines or bytes'
complete $all -n '__kvx_is out raw' -l check -x -a '(__fish_complete_command)' -d 'validate the new file with this command before installing it, such as \'visudo -cf {}\''
complete $all -n '__kvx_is out raw' -s c -l chmod -x -d 'mode of the file, in octal'
complete $all -n '__kvx_is out raw' -s o -l owner -x -a '(__fish_complete_users)' -d 'owner of the file: user, user:group or :group, by name or number'
complete $all -n '__kvx_is out raw' -l mkdir -d 'create missing directories above the file'
complete $all -n '__kvx_is out raw' -l in-place -d 'write through the existing file'
complete $all -n '__kvx_is out raw' -s e -l exec -x -a '(__fish_complete_command)' -d 'handler: words and "quotes", no shell; or give it after --'
complete $all -n '__kvx_is out raw' -l handler-timeout -x -d 'limit for the handler: then TERM, then KILL [default: 30s]'
complete $all -n '__kvx_is out raw' -l ignore-stop -d 'install even if the key is stopped'
complete $all -n '__kvx_is out raw' -l ignore-lock -d 'install even if the file is locked on this node'
complete $all -n '__kvx_is out raw' -l always-run -d 'run the handler even if nothing has changed'
complete $all -n '__kvx_is out raw' -l splay -x -d 'wait up to this long first, so that nodes do not reload together'
complete $all -n '__kvx_is out raw' -l wait -x -d 'wait up to this long for a key that does not exist yet, and for Consul itself'
complete $all -n '__kvx_is out raw' -l payload -d 'read a watch\'s payload from stdin even if -k is given'
complete $all -n '__kvx_is out raw' -l stale -d 'read from any server, even without a leader'
complete $all -n '__kvx_is out raw' -l timeout -x -d 'limit for the payload, and then for all requests to Consul and the check'
complete $all -n '__kvx_is raw' -s k -l key -x -d 'path of the key, such as service/web/config'
complete $all -n '__kvx_is clean' -s f -l file -r -F -d 'the file, which is kept'
complete $all -n '__kvx_is clean' -l remove-file -d 'also remove the file'
complete $all -n '__kvx_is clean' -s k -l key -x -a '(__kvx_keys)' -d 'the key whose history to clean'

# Whether `kvx list` takes this option, too, to find the same keys.
function __kvx_is_of_list
    contains -- $argv[1] -p --prefix -s --server --dc --token-file -t --token --ca-file --client-cert --client-key --tls-server-name
end

# Whether this command runs what follows --.
function __kvx_may_run
    contains -- "$argv[1]" in out raw
end
# End of what is generated.
