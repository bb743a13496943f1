# bash completion of kvx, kvx-in and kvx-out. It needs nothing else: no bash-completion.

_kvx() {
    local words full kept command previous current at IFS=$' \t\n'
    COMPREPLY=()
    _kvx_words
    case ${words[0]##*/} in
    kvx-in) command=in ;;
    kvx-out) command=out ;;
    *) command=${words[1]} ;;
    esac
    current=$full previous=${words[-2]}
    if ((${#words[@]} == 2)) && [[ ${words[0]##*/} == kvx ]]; then
        _kvx_offer status list diff stop resume lock unlock copy in out raw clean help -h --help --version
        return
    fi
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        if [[ ${words[at]} == -- ]]; then
            _kvx_behind_dashes $((at + 1))
            return
        fi
    done
    if [[ $full == --*=* ]]; then
        previous=${full%%=*} current=${full#*=}
        [[ $previous != --dogstatsd ]] || return
    fi
    case $previous in
    -k | --key | --from | --to) [[ $command == raw ]] || _kvx_keys ;;
    -f | --file | --token-file | --ca-file | --client-cert | --client-key) _kvx_generate -f ;;
    --metrics-textfile | --state-dir) _kvx_generate -d ;;
    -e | --exec | --check) _kvx_generate -c ;;
    -o | --owner) _kvx_generate -u ;;
    --log-format) _kvx_offer text json ;;
    -p | --prefix | -l | --min-lines | --max-size | --max-shrink | --expect | --timeout | --metrics-prefix) ;;
    -s | --server | --dc | -t | --token | --tls-server-name) ;;
    --raw | -c | --chmod | --handler-timeout | --splay | --wait | -u | --url | -r | --reason) ;;
    *) _kvx_options ;;
    esac
}

# The options of a command; or what it takes besides.
_kvx_options() {
    local options telling='-v --verbose -q --quiet --log-format --version -h --help'
    local consul='-s --server --dc --token-file -t --token --ca-file --client-cert --client-key --tls-server-name'
    local metrics='--dogstatsd --metrics-prefix --metrics-textfile'
    local guards='-l --min-lines --max-size --max-shrink --force'
    local site="-p --prefix --timeout $consul $telling"
    local both="-k --key -f --file $guards --ignore-stop --consistent $metrics $site"
    local out="-c --chmod -o --owner --check --mkdir --in-place -e --exec --handler-timeout --ignore-lock
        --always-run --splay --wait --payload --state-dir --stale"
    case $command in
    in) options="$both -u --url -S --sorted -z --compress --expect -n --dry-run --events" ;;
    out) options="$both $out --raw" ;;
    raw) options="$both $out" ;;
    status) options="-k --key -f --file --json --state-dir $site" ;;
    list) options=$site ;;
    diff) options="-k --key $site" ;;
    stop) options="-k --key -r --reason --force --replace --events $metrics $site" ;;
    resume) options="-k --key $site" ;;
    lock) options="-f --file -r --reason --replace --state-dir --events $metrics $site" ;;
    unlock) options="-f --file --run --state-dir $metrics $site" ;;
    copy) options="--from --to --ignore-stop --events $metrics $site" ;;
    clean) options="-f --file --remove-file --state-dir $telling" ;;
    *) return ;;
    esac
    if [[ $command == diff && $current != -* ]]; then
        _kvx_generate -f
    else
        _kvx_offer $options
    fi
}

# A command, and its files. $1: where it is.
_kvx_behind_dashes() {
    case $command in
    in | out | raw) if (($1 == ${#words[@]} - 1)); then _kvx_generate -c; else _kvx_generate -f; fi ;;
    esac
}

# The keys of the Consul that the words before name. A name may be anything, so nothing expands it.
_kvx_keys() {
    local at word key
    local -a to=()
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        word=${words[at]}
        case $word in
        -s | -p | -t | --server | --prefix | --token | --dc | --token-file | --ca-file | --client-cert | --client-key | --tls-server-name)
            to+=("$word" "${words[++at]/#'~/'/$HOME/}")
            ;;
        --server=* | --prefix=* | --token=* | --dc=* | --token-file=* | --ca-file=* | --client-cert=* | --client-key=* | --tls-server-name=*)
            to+=("$word")
            ;;
        esac
    done
    local -a keys
    mapfile -t keys < <(command kvx list -q --timeout 1s "${to[@]}" 2>/dev/null </dev/null)
    for key in "${keys[@]}"; do
        printf -v key %q "$key"
        _kvx_offer "$key"
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

complete -F _kvx kvx kvx-in kvx-out
