import type { ValueKind } from "../command.ts";
import type { CommandSpec, FormSpec, OptionSpec } from "./spec.ts";

/** Completion for zsh, to be sourced, or in a file `_podvpn` in a directory of `fpath`. Pure. */
export function zshCompletion(commands: readonly CommandSpec[]): string {
  const named = [...commands, { name: "help", summary: "tell more of a command" }];
  const forms = commands.flatMap((command) => command.forms);
  const worded = forms.filter(({ call }) => call.includes(" ")).map(({ call }) => quoted(call));
  return `#compdef podvpn
# Completion of podvpn for zsh: source <(podvpn completion zsh)
_podvpn() {
  local -a commands
  commands=(
${named.map(({ name, summary }) => `    ${quoted(`${name}:${escaped(summary)}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe -t commands 'podvpn command' commands
    return
  fi
  local call=$words[2]
  if (( CURRENT > 3 )); then
    case "$call $words[3]" in
      ${worded.join(" | ")})
        call+=" $words[3]"
        shift words
        (( CURRENT-- ))
        ;;
    esac
  fi
  shift words
  (( CURRENT-- ))
  case $call in
    help) _arguments ${quoted(`1:command:(${commands.map(({ name }) => name).join(" ")})`)} ;;
${forms.map(formCase).join("\n")}
  esac
}

if [[ $funcstack[1] == _podvpn ]]; then
  _podvpn "$@"
else
  compdef _podvpn podvpn
fi
`;
}

function formCase({ call, options, operands, words }: FormSpec): string {
  const listed = [...words, ...(Array.isArray(operands) ? operands : [])];
  const other = operands !== undefined && !Array.isArray(operands) ? [`1:${call}:${actionOf(operands)}`] : [];
  const operand = listed.length > 0 ? [`1:${call}:(${listed.join(" ")})`] : other;
  const specs = [...options.map(optionText), ...operand].map((spec) => `        ${quoted(spec)}`);
  return [`    ${quoted(call)})`, "      _arguments \\", `${specs.join(" \\\n")}`, "      ;;"].join("\n");
}

function optionText({ name, text, takesValue, value, multiple }: OptionSpec): string {
  const many = multiple ? "*" : "";
  const about = `[${escaped(text)}]`;
  return takesValue ? `${many}${name}=${about}:${name.slice(2)}:${actionOf(value)}` : `${many}${name}${about}`;
}

function actionOf(value: ValueKind | undefined): string {
  if (value === undefined) return " ";
  if (value === "file") return "_files";
  if (value === "directory") return "_files -/";
  return value === "interface" ? "_net_interfaces" : `(${value.join(" ")})`;
}

/** In a specification of _arguments, colons and brackets divide. */
function escaped(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
