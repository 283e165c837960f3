import { type Finding, findingsOf, quoted } from "../finding.ts";
import type { ProgramFacts, ProgramsFacts } from "../gather/programs.ts";
import type { Needs } from "./kernel.ts";

/** What the programs are needed for. */
export interface ProgramNeeds extends Needs {
  /** Plugins that podvpn's configurations call. */
  readonly plugins: readonly string[];
  /** Where the kernel has none: errnos, or undefined. */
  readonly userspaceWireguard: boolean;
  /** This very executable, as a command names it. */
  readonly podvpn: string;
}

const { ok, none, warning, bad } = findingsOf("programs");

/** Plugins and tools that are missing. Pure. */
export function checkPrograms(facts: ProgramsFacts, needs: ProgramNeeds): Finding[] {
  return [...own(facts, needs), ...plugins(facts, needs), ...tools(facts, needs)];
}

function own({ own: names, binDirectory }: ProgramsFacts, { plugins: called, podvpn }: ProgramNeeds): Finding[] {
  const missing = names.filter(({ path }) => path === undefined).map(({ name }) => name);
  if (missing.length === 0) return [ok(`${listed(names)} are in ${binDirectory}`)];
  const what = `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not in ${binDirectory}`;
  const command = `${quoted(podvpn)} install --bin-dir ${quoted(binDirectory)}`;
  const isCalled = missing.some((name) => called.includes(name));
  if (isCalled) return [bad(`${what}, from which the runtime takes plugins: no pod can be attached`, { command })];
  return [warning(`${what}, from which the runtime takes plugins`, { command })];
}

function plugins(facts: ProgramsFacts, { plugins: called }: ProgramNeeds): Finding[] {
  const { binDirectory, plugins: there, elsewhere, hasApt } = facts;
  const present = there.filter(({ path }) => path !== undefined);
  const absent = elsewhere.map(({ name, path }): Finding => {
    const isCalled = called.includes(name);
    const tell = isCalled ? bad : warning;
    const why = isCalled ? "a network configuration calls it: no pod can be attached" : "podvpn's plugins call it";
    if (path !== undefined) {
      const command = `ln -s ${quoted(path)} ${quoted(`${binDirectory}/${name}`)}`;
      return tell(`the plugin ${name} is in ${path}, not in ${binDirectory}; ${why}`, { command });
    }
    const remedy = `put the reference plugins (containernetworking/plugins) into ${binDirectory}`;
    const apt = `apt-get install -y containernetworking-plugins && ln -s /usr/lib/cni/${name} ${binDirectory}/${name}`;
    return tell(`there is no plugin ${name}; ${why}`, hasApt ? { command: apt } : { remedy });
  });
  return [...(present.length === 0 ? [] : [ok(`${listed(present)} are in ${binDirectory}`)]), ...absent];
}

/** Debian's packages, and whether doing without is a fault. */
function tools({ tools: there, hasApt }: ProgramsFacts, needs: ProgramNeeds): Finding[] {
  const uses: Readonly<Record<string, { readonly needed: boolean; readonly package: string }>> = {
    "charon-systemd": { needed: needs.ipsec, package: "charon-systemd libcharon-extra-plugins" },
    "wireguard-go": { needed: needs.wireguard && needs.userspaceWireguard, package: "wireguard-go" },
  };
  const present = there.filter(({ path }) => path !== undefined);
  const absent = there.flatMap(({ name, path }): Finding[] => {
    const use = uses[name];
    if (path !== undefined || use === undefined) return [];
    if (!use.needed) return [none(`there is no ${name}: nothing here needs it`)];
    const command = `apt-get install -y ${use.package}`;
    const remedy = `install ${name}`;
    return [bad(`there is no ${name}: no tunnel can be made`, hasApt ? { command } : { remedy })];
  });
  return [ok(`found: ${present.map(versioned).join(", ")}`), ...absent];
}

function versioned({ name, version }: ProgramFacts): string {
  return version === undefined ? name : `${name} ${version}`;
}

function listed(programs: readonly ProgramFacts[]): string {
  return programs.map(({ name }) => name).join(", ");
}
