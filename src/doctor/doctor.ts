import { checkAgent } from "./checks/agent.ts";
import { checkClock } from "./checks/clock.ts";
import { checkConfiguration } from "./checks/configuration.ts";
import { checkEncryption } from "./checks/encryption.ts";
import { checkEsp } from "./checks/esp.ts";
import { checkForwarding, checkSource } from "./checks/forwarding.ts";
import { checkKernel, type Needs } from "./checks/kernel.ts";
import { checkLeftovers } from "./checks/leftovers.ts";
import { checkOverlap } from "./checks/overlap.ts";
import { checkPathMtu } from "./checks/path-mtu.ts";
import { checkPods } from "./checks/pods.ts";
import { checkPrograms } from "./checks/programs.ts";
import { checkRoutes } from "./checks/routes.ts";
import { checkSettings } from "./checks/settings.ts";
import { checkTunnels } from "./checks/tunnel.ts";
import { checkUnderlay } from "./checks/underlay.ts";
import type { DoctorOptions, Facts } from "./facts.ts";
import { CHECKS, type Finding, type Mending, quoted } from "./finding.ts";
import type { AgentPods } from "./gather/cni.ts";
import type { MeshDevice } from "./gather/devices.ts";
import { leftoversOf, staleBridges } from "./gather/leftovers.ts";
import type { PathFacts } from "./gather/paths.ts";
import { findingsFrom, told } from "./gather/source.ts";

/** What follows from what was read and measured, in the order of {@link CHECKS}. */
export function diagnose(facts: Facts, { podvpn }: Pick<DoctorOptions, "podvpn">): Finding[] {
  const mendOf = (device: MeshDevice) => mendingOf(device, podvpn);
  const found = [...ofNode(facts, podvpn), ...ofMesh(facts, mendOf)];
  return CHECKS.flatMap((check) => found.filter((finding) => finding.check === check));
}

/** The node by itself. */
function ofNode(facts: Facts, podvpn: string): Finding[] {
  const { kernel, programs, cni, agent, status, clock, node, xfrm } = facts;
  const needs = needsOf(facts);
  const userspaceWireguard = told(kernel)?.wireguard !== undefined;
  const plugins = (told(cni)?.files ?? []).filter(({ isPodvpns }) => isPodvpns).flatMap(({ types }) => types);
  const isThere = (name: string) =>
    told(programs)?.tools.some((tool) => tool.name === name && tool.path !== undefined) === true;
  const standIns = { wireguardGo: isThere("wireguard-go"), charon: isThere("charon-systemd") };
  return [
    ...findingsFrom(kernel, (read) => checkKernel(read, needs, standIns)),
    ...findingsFrom(programs, (read) => checkPrograms(read, { ...needs, plugins, userspaceWireguard, podvpn })),
    ...findingsFrom(cni, (read) => checkConfiguration(read, agentPods(facts))),
    ...findingsFrom(agent, (read) => checkAgent(read, told(status)?.damage ?? [])),
    ...findingsFrom(status, () => []),
    ...findingsFrom(clock, checkClock),
    ...findingsFrom(xfrm, (read) => checkEsp(read, podvpn)),
    ...findingsFrom(node, (observed) =>
      findingsFrom(cni, (read) =>
        checkLeftovers(leftoversOf(observed, read), staleBridges(observed, read, agentPods(facts))),
      ),
    ),
  ];
}

/** What lies between it and the others. */
function ofMesh(facts: Facts, mendOf: (device: MeshDevice) => Mending): Finding[] {
  const { now, node, devices, status } = facts;
  const observed = told(node);
  const all = told(devices) ?? [];
  const [paths, pings] = [told(facts.paths), told(facts.pings)];
  const firewalls = told(facts.firewalls) ?? [];
  const ways = told(facts.ways) ?? [];
  const sources = [devices, facts.ways, facts.firewalls, facts.paths, facts.pings];
  const failures = sources.flatMap((source) => ("failure" in source ? [source.failure] : []));
  if (observed === undefined) return failures;
  const routes = checkRoutes(all, ways, observed, mendOf);
  return [
    ...failures,
    ...checkOverlap(all, observed),
    ...routes,
    ...checkSettings(firewalls),
    ...checkUnderlay(paths ?? [], { observed, firewalls, now }),
    ...checkPathMtu(paths ?? []),
    ...checkTunnels(all, paths ?? [], { now, firewalls }, mendOf),
    ...checkEncryption(paths ?? [], (path) => plainMending(path, routes, mendOf)),
    ...checkPods(told(status)?.attachments ?? [], pings ?? [], paths ?? []),
    ...checkForwarding(firewalls, pings ?? []),
    ...checkSource(firewalls, pings ?? []),
  ];
}

/** An agent keeps its devices by itself, when it runs as it should. */
function mendingOf({ isAgents, name }: MeshDevice, podvpn: string): Mending {
  if (isAgents) return { command: "systemctl restart podvpn" };
  return { command: `${quoted(podvpn)} doctor --mend ${quoted(name)}` };
}

/**
 * What goes in plain goes past the guard, and by a route of somebody's: both have to be mended. The route goes first: it
 * may stand where podvpn's own belongs, and podvpn's refusal of lower rank is still there.
 */
function plainMending(
  { device }: PathFacts,
  routes: readonly Finding[],
  mendOf: (device: MeshDevice) => Mending,
): Mending {
  const commands = [...routes.filter(({ outcome }) => outcome === "bad"), mendOf(device)].flatMap(
    ({ command }) => command ?? [],
  );
  return { command: [...new Set(commands)].join(" && ") };
}

function needsOf({ cni, agent, devices }: Facts): Needs {
  const files = told(cni)?.files ?? [];
  const drivers: readonly string[] = told(agent)?.config?.drivers ?? [];
  const kinds = (told(devices) ?? []).map(({ kind }) => kind);
  return {
    wireguard: files.some((file) => file.usesWireguard) || drivers.includes("wireguard") || kinds.includes("wireguard"),
    ipsec: files.some((file) => file.usesIpsec) || drivers.includes("ipsec") || kinds.includes("ipsec"),
  };
}

/** As the agent tells others; without one that runs, as it would. */
function agentPods({ agent }: Facts): AgentPods | undefined {
  const { own, plan } = told(agent)?.forecast ?? {};
  return own && plan && { own: own.podPrefixes, mesh: plan.guarded };
}
