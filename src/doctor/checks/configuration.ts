import { family } from "../../net/address.ts";
import { contains, type Prefix } from "../../net/prefix.ts";
import { type Finding, findingsOf, type Mending, quoted } from "../finding.ts";
import { type AgentPods, type CniFacts, type CniFile, isOfMesh } from "../gather/cni.ts";

const { ok, none, bad } = findingsOf("configuration");

/** A meta plugin reads the other files itself. */
const META = ["multus", "multus-shim", "genie"];

/**
 * The runtime's directory of network configurations: it takes the first file that there is. Pure.
 * @param agent Undefined without an agent.
 */
export function checkConfiguration(facts: CniFacts, agent: AgentPods | undefined): Finding[] {
  const { directory, files } = facts;
  if (files.length === 0) return [none(`there is no network configuration in ${directory}`)];
  const own = files.filter((file) => isOfMesh(file, agent));
  const findings = [
    ...files.flatMap(broken),
    ...own.flatMap(refused),
    ...order(files, agent),
    ...own.flatMap((file) => strayed(file, agent?.own)),
  ];
  if (findings.length > 0) return findings;
  if (own.length === 0) {
    const orMesh = agent === undefined ? "" : ", or has addresses of the mesh";
    return [none(`none of the ${files.length} files in ${directory} calls podvpn${orMesh}`)];
  }
  const subnets = own.flatMap((file) => file.subnets.map(({ prefix }) => prefix));
  return [ok(`${own.map(({ path }) => path).join(", ")}: pods get addresses of ${subnets.join(", ") || "no subnet"}`)];
}

function broken({ path, broken: why }: CniFile): Finding[] {
  if (why === undefined) return [];
  return [bad(`${path} cannot be read: ${why}; a runtime that meets it may attach no pod at all`, aside(path))];
}

function refused({ path, faults }: CniFile): Finding[] {
  return faults.map(({ what, remedy }) => bad(`${path}: ${what}`, { remedy }));
}

/** Pods of any bridge are encrypted whose addresses are the agent's. */
function order(files: readonly CniFile[], agent: AgentPods | undefined): Finding[] {
  const [first] = files.filter(({ broken: why }) => why === undefined);
  const own = files.find(({ isPodvpns }) => isPodvpns);
  if (first === undefined || own === undefined || isOfMesh(first, agent)) return [];
  if (first.types.some((type) => META.includes(type))) return [];
  const what = `the runtime takes the first file, ${first.path} (${first.types.join(", ")}), and not ${own.path}`;
  return [bad(`${what}: pods are not encrypted`, aside(first.path))];
}

/** Peers send what is for the agent's prefixes alone. */
function strayed({ path, subnets }: CniFile, agentPrefixes: readonly Prefix[] | undefined): Finding[] {
  if (agentPrefixes === undefined || agentPrefixes.length === 0) return [];
  return subnets
    .filter(({ prefix }) => !agentPrefixes.some((own) => contains(own, prefix)))
    .map(({ prefix, text }) => {
      const what = `${path} gives pods addresses of ${prefix}, and this node has ${agentPrefixes.join(", ")}`;
      return bad(`${what} in the mesh: nobody finds these pods`, replaced(path, text, prefix, agentPrefixes));
    });
}

function replaced(path: string, text: string, prefix: Prefix, agentPrefixes: readonly Prefix[]): Mending {
  const [right, ...others] = agentPrefixes.filter((own) => family(own) === family(prefix));
  if (right === undefined) return { remedy: "take that subnet out, or give the agent podPrefixes that hold it" };
  if (text === "" || others.length > 0) return { remedy: `write ${right} in its place` };
  return {
    command: `sed -i 's#"${text}"#"${right}"#' ${quoted(path)}`,
    remedy: "pods that are there already keep their addresses until they are made anew",
  };
}

function aside(path: string): Mending {
  return { command: `mv ${quoted(path)} ${quoted(`${path}.disabled`)}` };
}
