# bash completion for dmfs                                                         -*- shell-script -*-
# What fits is decided by `dmfs _complete`, which reads what is on this machine and asks no service.

_dmfs() {
    local -a answer
    local program=${1/#\~\//$HOME/}
    COMPREPLY=()
    mapfile -t answer < <("$program" _complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" \
        </dev/null 2>/dev/null)
    case ${answer[0]-} in
        files)
            compopt -o bashdefault -o default 2>/dev/null
            return
            ;;
        directories)
            compopt -o filenames -o dirnames 2>/dev/null
            return
            ;;
        paths) compopt -o filenames 2>/dev/null ;; # readline quotes them, and shows their last parts
        quoted) compopt -o filenames -o noquote 2>/dev/null ;;
    esac
    COMPREPLY=("${answer[@]:1}")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
} && complete -F _dmfs dmfs
