import type { ValueKind } from "../command.ts";
import type { CommandSpec, FormSpec } from "./spec.ts";

/** Completion for fish 3 and newer. Pure. */
export function fishCompletion(commands: readonly CommandSpec[]): string {
  const named = [...commands, { name: "help", summary: "tell more of a command" }];
  const forms = commands.flatMap((command) => command.forms);
  const worded = forms.filter(({ call }) => call.includes(" ")).map(({ call }) => quoted(call));
  return `# Completion of podvpn for fish: podvpn completion fish | source
function __podvpn_call
  set -l words (commandline -opc)
  set -l call "$words[2]"
  switch "$words[2] $words[3]"
    case ${worded.join(" ")}
      set call "$words[2] $words[3]"
  end
  test "$call" = "$argv[1]"
end

complete -c podvpn -f
${named.map(({ name, summary }) => line("", [`-a ${quoted(name)}`, `-d ${quoted(summary)}`])).join("\n")}
${line("help", [`-a ${quoted(commands.map(({ name }) => name).join(" "))}`])}
${forms.flatMap(formLines).join("\n")}
`;
}

function formLines({ call, options, operands, words }: FormSpec): string[] {
  const shown = [
    ...(words.length > 0 ? [`-a ${quoted(words.join(" "))}`] : []),
    ...(operands === undefined ? [] : [candidates(operands)]),
  ];
  return [
    ...shown.map((what) => line(call, [what])),
    ...options.map(({ name, text, takesValue, value }) => {
      const behind = !takesValue
        ? []
        : value === "file"
          ? ["-r -F"]
          : ["-x", ...(value === undefined ? [] : [candidates(value)])];
      return line(call, [`-l ${name.slice(2)}`, ...behind, ...(text === "" ? [] : [`-d ${quoted(text)}`])]);
    }),
  ];
}

function line(call: string, parts: readonly string[]): string {
  return `complete -c podvpn -n ${quoted(`__podvpn_call "${call}"`)} ${parts.join(" ")}`;
}

function candidates(value: ValueKind): string {
  if (value === "file") return "-F";
  if (value === "directory") return "-a '(__fish_complete_directories)'";
  return value === "interface" ? "-a '(command ls /sys/class/net)'" : `-a ${quoted(value.join(" "))}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
}
