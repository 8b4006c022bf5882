# Completes spot-guard's commands, options and values in bash.
_spot_guard() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i
    if [[ $word == = ]]; then
        word=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --window | --until | --since | --notice | --reason | --html | --config | --kubeconfig | --node-name | --imds-endpoint | --hooks-dir | --state-dir | --runtime-dir | --log-level)
                [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                ((i++))
                ;;
            -*) ;;
            *)
                command=${COMP_WORDS[i]}
                break
                ;;
        esac
    done
    case $before in
        --window) return ;;
        --until) return ;;
        --since) return ;;
        --notice) mapfile -t COMPREPLY < <(compgen -W 'spot-interruption autoscaling-termination maintenance rebalance-recommendation by-hand' -- "$word"); return ;;
        --reason) return ;;
        --html) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --kubeconfig) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        --node-name) return ;;
        --imds-endpoint) return ;;
        --hooks-dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        --state-dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        --runtime-dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
        --log-level) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$word"); return ;;
    esac
    case $command in
        '') words='run check drain uncordon rehearse status report config completions --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version' ;;
        run)
            words+=' --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        check)
            words+=' --image --json --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        drain)
            words+=' --window --until --since --notice --reason --no-wait --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        uncordon)
            words+=' --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        rehearse)
            words+=' --notice --window --json --run-hooks --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        status)
            words+=' --json --metrics --watch --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        report)
            words+=' --all --json --html --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        config)
            if [[ $word != -* ]]; then compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return; fi
            words+=' --check --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
        completions)
            [[ $word == -* ]] || words='bash zsh fish'
            words+=' --config --kubeconfig --node-name --imds-endpoint --hooks-dir --state-dir --runtime-dir --log-level --dry-run --help --version'
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _spot_guard spot-guard
