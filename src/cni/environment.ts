import { Code, Fault } from "../fault.ts";

/** The operations of SPEC 1.1.0, section 2. */
export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** The variables of an operation on one container's interface. */
export interface Attachment {
  readonly containerID: string;
  /** Name of the interface inside the container. */
  readonly ifname: string;
  /** CNI_ARGS, in order. */
  readonly args: ReadonlyMap<string, string>;
  /** CNI_PATH: the directories with plugins, in the order in which they are searched. */
  readonly path: readonly string[];
}

/** What the CNI variables ask for; each operation has what the specification says that it has. */
export type Environment =
  | ({ readonly command: "ADD" | "CHECK"; readonly netns: string } & Attachment)
  | ({ readonly command: "DEL"; readonly netns?: string } & Attachment)
  | { readonly command: "GC" | "STATUS"; readonly path: readonly string[] }
  | { readonly command: "VERSION" };

type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads CNI_COMMAND and the variables that it needs (SPEC 1.1.0, section 2, "Parameters"). An empty variable is a
 * missing one.
 * @throws Fault 4 for an unknown command, for missing variables (all in one), and for values that are not legal.
 */
export function parseEnvironment(env: Variables): Environment {
  const command = parseCommand(env.CNI_COMMAND);
  const missing = REQUIRED[command].filter((name) => !env[name]);
  if (missing.length > 0) {
    throw invalid(
      `${missing.join(", ")} missing in the environment of ${command}`,
      "call the plugin from a CNI runtime",
    );
  }
  const path = (env.CNI_PATH ?? "").split(":").filter((directory) => directory !== "");
  if (command === "VERSION") return { command };
  if (command === "GC" || command === "STATUS") return { command, path };
  const attachment: Attachment = {
    containerID: legalContainerID(env.CNI_CONTAINERID ?? ""),
    ifname: legalIfname(env.CNI_IFNAME ?? ""),
    args: parseArgs(env.CNI_ARGS ?? ""),
    path,
  };
  const netns = env.CNI_NETNS ?? "";
  if (command === "DEL") return { command, ...attachment, ...(netns !== "" && { netns }) };
  return { command, ...attachment, netns };
}

const REQUIRED: Record<Command, readonly string[]> = {
  // CNI_PATH is optional but for GC: whoever looks for a delegate misses it (findPlugin).
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  // Without a namespace a DEL cleans up what it can: the container may be long gone.
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  GC: ["CNI_PATH"],
  STATUS: [],
  VERSION: [],
};

function parseCommand(text: string | undefined): Command {
  const commands = Object.keys(REQUIRED) as Command[];
  const command = commands.find((name) => name === text);
  if (command !== undefined) return command;
  throw invalid(`CNI_COMMAND is "${text ?? ""}"`, `set it to one of ${commands.join(", ")}`);
}

/** @throws Fault 4. The same rule as libcni's: the id becomes part of file names. */
export function legalContainerID(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)) return text;
  throw invalid(
    `CNI_CONTAINERID is ${JSON.stringify(text)}`,
    "use letters, digits, dots, underscores and hyphens, beginning with a letter or digit",
  );
}

/** @throws Fault 4. Linux' own rule for names of interfaces (`dev_valid_name`, IFNAMSIZ 16 with the final zero). */
export function legalIfname(text: string): string {
  const legal =
    text !== "" && Buffer.byteLength(text) <= 15 && text !== "." && text !== ".." && !/[/:\s\0]/u.test(text);
  if (legal) return text;
  throw invalid(
    `CNI_IFNAME is ${JSON.stringify(text)}`,
    'use at most 15 bytes without "/", ":" and white space, and not "." or ".."',
  );
}

/**
 * CNI_ARGS: `K=V;K2=V2`. Keys that we do not know are no fault, whether IgnoreUnknown is given or not: the runtimes pass
 * K8S_POD_NAME and the like to every plugin. Of a key given twice the last counts, as in libcni.
 * @throws Fault 4 for a part that is no `K=V`.
 */
export function parseArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const part of text.split(";")) {
    if (part === "") continue; // a final ";" is common
    const equals = part.indexOf("=");
    if (equals < 1) throw invalid(`CNI_ARGS has "${part}"`, "separate KEY=VALUE pairs by semicolons");
    args.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return args;
}

function invalid(what: string, remedy: string): Fault {
  return new Fault(Code.invalidEnvironment, what, remedy);
}
