import type { ValueKind } from "../command.ts";
import type { CommandSpec, FormSpec } from "./spec.ts";

/** Completion for bash 4.4 and newer; needs nothing else, not even the package bash-completion. Pure. */
export function bashCompletion(commands: readonly CommandSpec[]): string {
  const names = commands.map(({ name }) => name);
  const forms = commands.flatMap((command) => command.forms);
  const worded = forms.filter(({ call }) => call.includes(" ")).map(({ call }) => `"${call}"`);
  const values = forms.flatMap(({ call, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .map(({ name, value }) => `    "${call} ${name}") ${replyOf(value)}; return ;;`),
  );
  return `# Completion of podvpn for bash: source <(podvpn completion bash)
_podvpn_reply() {
  mapfile -t COMPREPLY < <(compgen "$@" -- "$current")
}

_podvpn_files() {
  compopt -o filenames 2>/dev/null
  _podvpn_reply "$@"
}

_podvpn_interfaces() {
  local interfaces=(/sys/class/net/*)
  _podvpn_reply -W "\${interfaces[*]##*/}"
}

_podvpn() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local call=\${COMP_WORDS[1]-}
  COMPREPLY=()
  # bash splits --option=value into three words.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  if ((COMP_CWORD == 1)); then
    _podvpn_reply -W "${[...names, "help", "--help", "--version"].join(" ")}"
    return
  fi
  if ((COMP_CWORD > 2)); then
    case "$call \${COMP_WORDS[2]}" in
      ${worded.join(" | ")}) call+=" \${COMP_WORDS[2]}" ;;
    esac
  fi
  case "$call $previous" in
${values.join("\n")}
  esac
  case "$call" in
    help) _podvpn_reply -W "${names.join(" ")}" ;;
${forms.map(formCase).join("\n")}
  esac
}

complete -F _podvpn podvpn
`;
}

/** Options behind a dash; without one what may stand there, or else the options as well. */
function formCase({ call, options, operands, words }: FormSpec): string {
  const all = options.map(({ name }) => name).join(" ");
  const isList = operands === undefined || Array.isArray(operands);
  const listed = [...words, ...(isList ? (operands ?? []) : [])];
  const inOptions = `_podvpn_reply -W "${all}"`;
  const otherwise = listed.length > 0 ? `_podvpn_reply -W "${[...listed, all].join(" ")}"` : inOptions;
  const free = isList ? otherwise : replyOf(operands);
  return [`    "${call}")`, `      if [[ $current == -* ]]; then ${inOptions}; else ${free}; fi`, "      ;;"].join(
    "\n",
  );
}

function replyOf(value: ValueKind | undefined): string {
  if (value === undefined) return ":";
  if (value === "file") return "_podvpn_files -f";
  if (value === "directory") return "_podvpn_files -d";
  return value === "interface" ? "_podvpn_interfaces" : `_podvpn_reply -W "${value.join(" ")}"`;
}
