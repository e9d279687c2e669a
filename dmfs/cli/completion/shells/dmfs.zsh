#compdef dmfs
# What fits is decided by `dmfs _complete`, which reads what is on this machine and asks no service.

_dmfs() {
    local program=${(Q)words[1]} line value
    local -a answer ended going ended_shown going_shown
    program=${program/#\~\//$HOME/}
    answer=("${(@f)$($program _complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" \
        </dev/null 2>/dev/null)}")
    case ${answer[1]-} in
        (files) _files; return ;;
        (directories) _files -/; return ;;
    esac
    # a tilde in front is the shell's own, and must not be quoted
    local tilde=
    if [[ ${answer[1]-} = paths && $PREFIX = '~/'* ]]; then
        compset -P '\~/'
        tilde='~/'
    fi
    for line in "${(@)answer[2,-1]}"; do
        value=${${line%%$'\t'*}#$tilde}
        # of a path the last part is shown, as of files
        local shown=$value
        [[ ${answer[1]} = paths ]] && shown=${${value%/}##*/}${value:${#${value%/}}}
        [[ $line = *$'\t'* ]] && shown+="  -- ${line#*$'\t'}"
        if [[ $value = *[/=] ]]; then
            going+=("$value") going_shown+=("$shown")
        else
            ended+=("$value") ended_shown+=("$shown")
        fi
    done
    local status_=1
    (( $#going )) && compadd -l -S '' -d going_shown -a going && status_=0
    (( $#ended )) && compadd -l -d ended_shown -a ended && status_=0
    return status_
}

if [ "$funcstack[1]" = _dmfs ]; then
    _dmfs "$@"
else
    compdef _dmfs dmfs
fi
