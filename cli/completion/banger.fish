# fish completion for banger(1); `banger __complete` knows all there is to know.

function __banger_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l lines ($words[1] __complete $words[2..] "$word" 2>/dev/null)
    switch "$lines[1]"
        case :files
            __fish_complete_path "$word"
        case :dirs
            __fish_complete_directories "$word" ""
    end
    if test (count $lines) -gt 1
        printf '%s\n' $lines[2..]
    end
end

complete -c banger -f -a '(__banger_complete)'
