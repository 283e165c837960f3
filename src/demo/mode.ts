import type { PluginName } from "../programs.ts";
import type { DemoPod, Lab } from "./lab.ts";
import type { DemoNode } from "./topology.ts";

/** A network configuration, as it would stand in /etc/cni/net.d. */
export type NetworkConfiguration = Readonly<Record<string, unknown>>;

/** What the demo of one plugin has of its own: all else is the same for each, in the same words (demo.ts, story.ts). */
export interface Mode {
  readonly plugin: PluginName;
  /** How pods reach each other, in a line. */
  readonly title: string;
  /** What the addresses of a pod are called, in the order of its CNI result. Pods talk over the first. */
  readonly addresses: readonly string[];
  /** A sentence about the way that pings take. */
  readonly way: string;
  readonly wire: Wire;
  /** Makes what the pods need beside the plugin, on the nodes and next to them. @throws Fault. */
  prepare(lab: Lab): Promise<Prepared>;
  /** What is to be killed while the pods run. */
  killing(pods: readonly DemoPod[]): Promise<Killing>;
  /** What there is to look at when all of it stays up. */
  readonly sights: readonly Sight[];
}

/** What a mode looks like from outside: filters in tcpdump's language (pcap-filter(7)). */
export interface Wire {
  readonly encrypted: Sort;
  /** One packet of it is one too many. */
  readonly plain: Sort;
  /** Of the encrypted packets those that carry what pods send. */
  readonly data: string;
  /** Whatever else is not to be there either. */
  readonly other?: Sort;
}

/** Packets of one sort. */
export interface Sort {
  readonly name: string;
  readonly filter: string;
}

/** The demo's machines, ready for pods. */
export interface Prepared {
  /** A table of them, for people. */
  readonly machines: readonly (readonly string[])[];
  configuration(node: DemoNode): NetworkConfiguration;
}

/** What is killed, and what becomes of it. */
export interface Killing {
  /** What happens, as a sentence without its full stop. */
  readonly event: string;
  /** Returns when it is dead. */
  kill(): Promise<void>;
  /** Pods that have no traffic without it, each with another to which it had some. */
  readonly cut: readonly (readonly [DemoPod, DemoPod])[];
  /** How CHECK of the first of those pods names it. */
  readonly named: RegExp;
  /** Whether that CHECK makes it again. */
  readonly mended: boolean;
}

/** A command to look around with. */
export interface Sight {
  readonly what: string;
  /** Name of the machine on which it is run. */
  readonly machine: string;
  readonly command: string;
}
