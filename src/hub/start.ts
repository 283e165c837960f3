import { type Vici, ViciError } from "vici";
import type { HubConfig } from "../config/hub.ts";
import { findCharon, openVici, startCharon, stopCharon } from "../ipsec/charon.ts";
import { type DataPlane, strongswanConf } from "../ipsec/strongswan-conf.ts";
import { family } from "../net/address.ts";
import { listAddresses } from "../netlink/addresses.ts";
import { listLinks } from "../netlink/links.ts";
import { openRoute } from "../netlink/open.ts";
import { listRules } from "../netlink/rules.ts";
import { readSysctl } from "../os/sysctl.ts";
import { misfit, requireBoundPorts, requireFreePorts, type Surroundings } from "./checks.ts";
import type { Journal } from "./journal.ts";
import { forgetTunnels } from "./leftovers.ts";
import { shutPodsOut } from "./loading.ts";
import { isCharons, LO, lower, raise, stopRedirects } from "./network.ts";
import { type HubRecord, inherit, ownNetns, takeover, writeRecord } from "./record.ts";
import { charonOptions } from "./settings.ts";
import { takeDown } from "./stop.ts";
import { hubSysctls } from "./sysctl.ts";
import { rangesOf } from "./wanted.ts";

/** Milliseconds. */
const START_TIMEOUT = 10_000;
const ADOPT_TIMEOUT = 3000;

/**
 * Puts everything in place but charon: guard, addresses, forwarding; or takes over what an earlier hub left.
 * @param left The earlier hub's record.
 * @param undo Takes away what is new; what was there before stays, as it keeps packets from leaving in plain.
 * @throws Fault 7, 101 or 102.
 */
export async function prepare(
  config: HubConfig,
  dataPlane: DataPlane,
  left: HubRecord | undefined,
  log: Journal,
  undo: AsyncDisposableStack,
): Promise<HubRecord> {
  const { directory } = config;
  const surroundings = await look();
  const subnets = config.subnets.map(({ subnet }) => subnet);
  const fault = misfit(surroundings, config.listen, subnets);
  if (fault !== undefined) throw fault;

  const shape = { strongswanConf: strongswanConf(charonOptions(config, dataPlane)), ranges: rangesOf(config) };
  const how = takeover(left, { subnets, dataPlane, charon: shape });
  if (how === "replace" || how === "restart") {
    log("info", "the configuration has changed in what pods that are online depend on: charon is restarted");
    await stopCharon(directory);
  }
  if (how === "replace" && left !== undefined) await lower(left); // its record is replaced below
  const earlier = how === "replace" ? undefined : left;

  const changed = changes(config, dataPlane, how === "replace" ? await look() : surroundings);
  const record = inherit(earlier, {
    netns: ownNetns(),
    subnets,
    dataPlane,
    charon: shape,
    leases: config.leases,
    ...changed,
  });
  if (earlier === undefined) undo.defer(() => takeDown(directory, record));
  writeRecord(directory, record);
  await raise(record);
  return record;
}

/**
 * The hub's charon: the one that runs, with all its pods, or a new one.
 * @param lockFd The descriptor of the lock on the hub's directory. @throws Fault 101 or 103.
 */
export async function hubCharon(
  config: HubConfig,
  dataPlane: DataPlane,
  log: Journal,
  lockFd: number,
): Promise<{ readonly vici: Vici; readonly isNew: boolean }> {
  const running = await adopt(config.directory, log);
  if (running !== undefined) return { vici: running, isNew: false };
  requireFreePorts();
  await shutPodsOut();
  if (dataPlane === "kernel")
    await forgetTunnels(
      config.subnets.map(({ subnet }) => subnet),
      log,
    );
  await using undo = new AsyncDisposableStack();
  const options = charonOptions(config, dataPlane);
  const vici = undo.use(await startCharon({ ...options, lockFd, timeout: START_TIMEOUT }));
  requireBoundPorts();
  if (dataPlane === "userspace") await stopRedirects();
  undo.move();
  return { vici, isNew: true };
}

/** One that does not answer serves nobody: it is ended. */
async function adopt(directory: string, log: Journal): Promise<Vici | undefined> {
  using charon = findCharon(directory);
  if (charon === undefined) return undefined;
  await using undo = new AsyncDisposableStack();
  try {
    const vici = undo.use(await openVici(directory, ADOPT_TIMEOUT));
    await vici.version({ timeout: ADOPT_TIMEOUT });
    log("info", `took over the charon that runs (process ${charon.pid})`);
    undo.move();
    return vici;
  } catch (error) {
    if (!(error instanceof ViciError)) throw error;
    log("error", `the charon that runs does not answer (${error.message}): it is restarted`);
    await stopCharon(directory);
    return undefined;
  }
}

async function look(): Promise<Surroundings> {
  using nl = openRoute();
  const [links, addresses] = await Promise.all([listLinks(nl), listAddresses(nl)]);
  return { links, addresses, rules: await listRules(nl) };
}

/** What is not there yet. */
function changes(
  { subnets }: HubConfig,
  dataPlane: DataPlane,
  { links, addresses, rules }: Surroundings,
): Pick<HubRecord, "addresses" | "routingRules" | "sysctls"> {
  const there = addresses.filter(({ index }) => index === LO).map(({ address }) => address);
  const families = [...new Set(subnets.map(({ subnet }) => family(subnet)))];
  const interfaces = links.map(({ name }) => name);
  return {
    addresses: subnets.map(({ own }) => own).filter((own) => !there.includes(own)),
    routingRules: ([4, 6] as const).filter(
      (version) => !rules.some((rule) => rule.family === version && isCharons(rule)),
    ),
    sysctls: hubSysctls(families, dataPlane, interfaces, readSysctl),
  };
}
