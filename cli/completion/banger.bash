# bash completion for banger(1); `banger __complete` knows all there is to know.

_banger() {
	local rest=${COMP_LINE:0:COMP_POINT} words=() lines=() blank word prefix line i

	# bash splits at "=" and ":" too: put together again what no blank separates.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		blank=${rest%%[![:space:]]*}
		rest=${rest#"$blank"}
		word=${COMP_WORDS[i]}
		((i < COMP_CWORD)) || word=$rest
		if ((i > 0)) && [[ -z $blank ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		rest=${rest#"$word"}
	done
	word=${words[-1]}
	mapfile -t lines < <("$1" __complete "${words[@]:1}" 2>/dev/null)
	case ${lines[0]} in
	:files) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "${word##*=}") ;;
	:dirs) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "${word##*=}") ;;
	esac

	# It replaces only what follows the last of those two characters.
	[[ $word == *[=:]* ]] && prefix=${word%"${word##*[=:]}"}
	for line in "${lines[@]:1}"; do
		line=${line%%$'\t'*}
		COMPREPLY+=("${line#"$prefix"}")
	done
}

complete -F _banger banger
