"""Shell completion of groups, names and settings, quick because no model code is imported.

`foundation --completion <shell>` prints a script for the shell. The script calls
`foundation --complete <words ...>`, which prints the candidates for the last word.
"""

from collections.abc import Sequence

from foundation.errors import UnknownName
from foundation.groups import groups
from foundation.registry import conf_folders

SETTINGS = (
    "seed",
    "resume",
    "hydra.run.dir",
    "hydra.sweep.dir",
    "model.path",
    "model.revision",
    "task.input",
    "task.column",
    "task.columns",
    "task.count",
    "task.batch",
    "task.data",
    "task.held_out",
    "task.start",
    "placement.device",
    "placement.dtype",
    "placement.lower_precision",
    "placement.memory",
    "placement.offload",
    "placement.threads",
    "placement.timeout",
    "suite.limit",
)
FLAGS = ("--help", "--version", "--multirun", "--completion", "--cfg", "--hydra-help")
SHELLS = ("bash", "fish", "zsh")

BASH = """\
_foundation() {
    local word="${COMP_LINE:0:COMP_POINT}" typed
    word="${word##*[[:space:]]}"
    typed="${COMP_WORDS[COMP_CWORD]}"
    [[ "$typed" == "=" ]] && typed=""
    local cut=$(( ${#word} - ${#typed} )) candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("${candidate:cut}")
    done < <("${COMP_WORDS[0]}" --complete ${COMP_LINE:0:COMP_POINT-${#word}} "$word" 2>/dev/null)
    [[ "${#COMPREPLY[@]}" == 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
}
complete -o default -o nosort -F _foundation foundation
"""

ZSH = """\
#compdef foundation
_foundation() {
    local -a found
    found=("${(@f)$("${words[1]}" --complete "${(@)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -Q -S '' -- "${found[@]}"
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _foundation foundation
"""

FISH = """\
function __foundation
    set -l word (commandline -ct)
    set -l found (foundation --complete (commandline -opc) "$word" 2>/dev/null)
    if test -n "$found[1]"
        printf '%s\\n' $found
    else if string match -q '*=*' -- $word
        set -l parts (string split -m 1 = -- $word)
        printf "$parts[1]=%s\\n" (__fish_complete_path $parts[2])
    end
end
complete -c foundation -f -a '(__foundation)'
"""


def script(shell: str) -> str:
    """What the shell evaluates; UnknownName for a shell there is no script for."""
    scripts = {"bash": BASH, "zsh": ZSH, "fish": FISH}
    if shell not in scripts:
        raise UnknownName("shell", shell, SHELLS)
    return scripts[shell]


def candidates(words: Sequence[str]) -> list[str]:
    """What the last of `words` may become; none where it is a path or free."""
    word = words[-1] if words else ""
    choices = groups(map(str, conf_folders()))
    key, equals, value = word.partition("=")
    if not equals:
        own = [f"task.{name}" for name in _task_settings(words)] if word[:5] == "task." else []
        keys = [f"{name}=" for name in [*choices, *SETTINGS, *own]]
        return sorted({k for k in [*keys, *FLAGS] if k.startswith(word)} - {""})
    before, comma, last = value.rpartition(",")
    return [
        f"{key}={before}{comma}{name}" for name in choices.get(key, []) if name.startswith(last)
    ]


def _task_settings(words: Sequence[str]) -> list[str]:
    """The settings of the task on the line, which the model's domain knows."""
    from foundation.commands.models import task_settings

    chosen = dict(word.partition("=")[::2] for word in words[:-1] if "=" in word)
    try:
        return [name for name, _ in task_settings(chosen.get("model"), chosen.get("task"))]
    except Exception:  # a half-typed name completes to nothing
        return []
