# fish completion for dmfs
# What fits is decided by `dmfs _complete`, which reads what is on this machine and asks no service.

function __dmfs_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -e words[1]
    set -l answer ($program _complete fish $words "$token" </dev/null 2>/dev/null)
    switch "$answer[1]"
        case files
            __fish_complete_path "$token"
        case directories
            __fish_complete_directories "$token" ''
        case '*'
            set -e answer[1]
            string join \n -- $answer
    end
end

complete --command dmfs --no-files --arguments '(__dmfs_complete)'
