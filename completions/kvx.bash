# bash completion of kvx, kvx-in and kvx-out. It needs nothing else: no bash-completion.

_kvx() {
    local words full kept command previous current options='' words_are='' runs='' at IFS=$' \t\n'
    COMPREPLY=()
    _kvx_words
    case ${words[0]##*/} in
    kvx-in) command=in ;;
    kvx-out) command=out ;;
    *) command=${words[1]} ;;
    esac
    current=$full previous=${words[-2]}
    if ((${#words[@]} == 2)) && [[ ${words[0]##*/} == kvx ]]; then
        _kvx_offer $_kvx_commands -h --help --version
        return
    fi
    _kvx_takes "$command"
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        if [[ ${words[at]} == -- ]]; then
            _kvx_behind_dashes $((at + 1))
            return
        fi
    done
    if [[ $full == --*=* ]]; then
        previous=${full%%=*} current=${full#*=}
        [[ " $_kvx_optional " != *" $previous "* ]] || return
    fi
    _kvx_complete "$command:$previous"
}

# The options of a command, or the words that it takes.
_kvx_options() {
    if [[ -n $words_are && $current != -* ]]; then
        _kvx_generate "$words_are"
    else
        _kvx_offer $options
    fi
}

# A command, and its files. $1: the index of its first word.
_kvx_behind_dashes() {
    [[ -n $runs ]] || return
    if (($1 == ${#words[@]} - 1)); then _kvx_generate -c; else _kvx_generate -f; fi
}

# The keys of the Consul that the words before name. A name may be anything, so nothing expands it.
_kvx_keys() {
    local key
    local -a to=() keys
    _kvx_where
    mapfile -t keys < <(command kvx list -q --timeout 1s "${to[@]}" 2>/dev/null </dev/null)
    for key in "${keys[@]}"; do
        printf -v key %q "$key"
        _kvx_offer "$key"
    done
}

# The versions of the key that the words before name.
_kvx_versions() {
    local -a to=() versions
    _kvx_where -k --key
    mapfile -t versions < <(command kvx history --names -q --timeout 1s "${to[@]}" 2>/dev/null </dev/null)
    _kvx_offer "${versions[@]}"
}

# Sets `to`: the words before that say which Consul and which keys are meant, and these options.
_kvx_where() {
    local at word
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        word=${words[at]}
        if _kvx_is_of_list "$word" || [[ $word == -* && " $* " == *" $word "* ]]; then
            to+=("$word" "${words[++at]/#'~/'/$HOME/}")
        elif [[ $word == --*=* ]] && { _kvx_is_of_list "${word%%=*}" || [[ " $* " == *" ${word%%=*} "* ]]; }; then
            to+=("$word")
        fi
    done
}

# Those of these words that begin with the current one.
_kvx_offer() {
    local word before=${full%"$current"}
    for word; do
        [[ $word != "$current"* ]] || { word=$before$word && COMPREPLY+=("${word#"$kept"}"); }
    done
}

# What compgen has for the current word: -f, -d, -c, -u.
_kvx_generate() {
    local -a found
    mapfile -t found < <(compgen "$1" -- "$current")
    [[ $1 != -[fd] ]] || compopt -o filenames 2>/dev/null
    _kvx_offer "${found[@]}"
}

# The words up to the cursor, as they were typed: bash breaks them at = and :, too. The last is `full`; of it, `kept` is
# what bash does not replace.
_kvx_words() {
    local at word='' line=${COMP_LINE:0:COMP_POINT}
    words=()
    for ((at = 0; at <= COMP_CWORD; at++)); do
        if ((at == 0)) || [[ $line == [[:space:]]* ]]; then
            words+=("")
            line=${line#"${line%%[![:space:]]*}"}
        fi
        word=${COMP_WORDS[at]}
        ((at < COMP_CWORD)) || word=$line
        words[-1]+=$word
        line=${line#"$word"}
    done
    full=${words[-1]}
    case $word in
    [=:]*) kept=$full ;;
    *) kept=${full%"$word"} ;;
    esac
}

# Generated from src/cli/args by `make generate`: do not edit this part.
_kvx_commands='status list history show diff stop rollback resume hold release lock unlock copy in out raw clean help'

# What a command takes, layer by layer.
_kvx_takes() {
    local log='-v --verbose -q --quiet --log-format --version -h --help'
    local consul='-s --server --dc --token-file -t --token --ca-file --client-cert --client-key
        --tls-server-name'
    local site='-p --prefix --timeout'
    local metrics='--dogstatsd --metrics-prefix --metrics-textfile'
    local installing='-p --prefix -l --min-lines --max-size --max-shrink --force --check -c --chmod -o --owner
        --mkdir --in-place -e --exec --handler-timeout --ignore-stop --ignore-lock --always-run
        --splay --wait --payload --state-dir --stale --consistent --timeout'
    case $1 in
    status) options="-k --key -f --file --json --state-dir $site $consul $log" ;;
    list) options="$site $consul $log" ;;
    history) options="-k --key --json --names $site $consul $log" ;;
    show) options="-k --key --at $site $consul $log" ;;
    diff) words_are=-f options="-k --key --from --to $site $consul $log" ;;
    stop) options="-k --key -r --reason --force --replace --events $metrics $site $consul $log" ;;
    rollback) options="-k --key --to -m --note --no-hold --resume -n --dry-run $site $consul $log" ;;
    resume) options="-k --key $site $consul $log" ;;
    hold) options="-k --key -r --reason --replace $site $consul $log" ;;
    release) options="-k --key --force $site $consul $log" ;;
    lock) options="-f --file -r --reason --replace --state-dir --events $metrics $site $consul $log" ;;
    unlock) options="-f --file --run --state-dir $metrics $site $consul $log" ;;
    copy) options="--from --to --ignore-stop --ignore-hold -m --note --keep --events $metrics $site $consul $log" ;;
    in) runs=yes options="-k --key -f --file -u --url -S --sorted -z --compress -p --prefix -l --min-lines
        --max-size --max-shrink --force --expect --ignore-stop --ignore-hold -n --dry-run -m
        --note --keep --events --consistent --timeout $metrics $consul $log" ;;
    out) runs=yes options="-k --key --raw -f --file $installing $metrics $consul $log" ;;
    raw) runs=yes options="-k --key -f --file $installing $metrics $consul $log" ;;
    clean) options="-f --file --remove-file --state-dir -k --key $site $consul $log" ;;
    esac
}

# Offers values of an option, or the options. $1: the command, a colon and the word before.
_kvx_complete() {
    case $1 in
    raw:--key | raw:-k) ;;
    copy:--to) _kvx_keys ;;
    diff:--from) _kvx_versions ;;
    *:--chmod | *:--dc | *:--expect | *:--handler-timeout | *:--keep | *:--max-shrink) ;;
    *:--max-size | *:--metrics-prefix | *:--min-lines | *:--note | *:--prefix | *:--raw) ;;
    *:--reason | *:--server | *:--splay | *:--timeout | *:--tls-server-name | *:--token) ;;
    *:--url | *:--wait | *:-c | *:-l | *:-m | *:-p | *:-r | *:-s | *:-t | *:-u) ;;
    *:--from | *:--key | *:-k) _kvx_keys ;;
    *:--at | *:--to) _kvx_versions ;;
    *:--ca-file | *:--client-cert | *:--client-key | *:--file | *:--token-file | *:-f) _kvx_generate -f ;;
    *:--metrics-textfile | *:--state-dir) _kvx_generate -d ;;
    *:--check | *:--exec | *:-e) _kvx_generate -c ;;
    *:--owner | *:-o) _kvx_generate -u ;;
    *:--log-format) _kvx_offer text json ;;
    *) _kvx_options ;;
    esac
}

# Whether `kvx list` takes this option, too, to find the same keys.
_kvx_is_of_list() {
    case $1 in
    -p | --prefix | -s | --server | --dc | --token-file | -t | --token | --ca-file) ;;
    --client-cert | --client-key | --tls-server-name) ;;
    *) return 1 ;;
    esac
}

# Options whose value follows =, and is never the next word.
_kvx_optional='--dogstatsd'
# End of what is generated.

complete -F _kvx kvx kvx-in kvx-out
