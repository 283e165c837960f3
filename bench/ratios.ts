import { DEVICE_SERIES } from "./device.ts";
import type { Series } from "./rounds.ts";
import { pairedRatio, pairedSum } from "./statistics.ts";
import { CASES, type Case, PLUGINS, type Plugin, SERIES, seriesOf, THIS_BUILD } from "./subjects.ts";
import type { Ratio } from "./tables.ts";
import { THROUGHPUT_SERIES } from "./throughput.ts";

/** What an ADD may take of what node and bridge take, at most. */
const AIMS: Readonly<Record<Plugin, string>> = { strongswan: "1.2", wireguard: "1.15" };

/** Of the plugins against what they are compared with: of those that were measured. Pure. */
export function pluginRatios(series: Series): Ratio[] {
  return PLUGINS.filter((plugin) => series[seriesOf({ plugin, note: "" }, "ADD")] !== undefined).flatMap((plugin) =>
    ratiosOf(series, plugin),
  );
}

function ratiosOf(series: Series, plugin: Plugin): Ratio[] {
  const of = (name: string) => series[name] ?? [];
  const node = of(SERIES.node);
  const add = of(seriesOf({ plugin, note: "" }, "ADD"));
  const del = of(seriesOf({ plugin, note: "" }, "DEL"));
  const against = (base: readonly number[]) => pairedSum(node, base);
  const withMasq = against(of(SERIES.bridgeMasqAdd));
  const without = against(of(SERIES.bridgeAdd));
  return [
    {
      name: `${plugin} ADD / (node + bridge ADD with ipMasq)`,
      values: pairedRatio(add, withMasq),
      aim: `≤ ${AIMS[plugin]}`,
    },
    { name: `${plugin} ADD / (node + bridge ADD without)`, values: pairedRatio(add, without) },
    ...special(plugin).flatMap(({ note }): Ratio[] => {
      const times = of(seriesOf({ plugin, note }, "ADD"));
      return [
        { name: `${plugin} ADD${note} / (node + bridge ADD with ipMasq)`, values: pairedRatio(times, withMasq) },
        { name: `${plugin} ADD${note} / ${plugin} ADD`, values: pairedRatio(times, add) },
      ];
    }),
    ...(plugin === "strongswan"
      ? [
          {
            name: "strongswan ADD / (node + bridge ADD without + charon alone)",
            values: pairedRatio(add, pairedSum(without, of(SERIES.charon))),
          },
        ]
      : []),
    {
      name: `${plugin} DEL / (node + bridge DEL with ipMasq)`,
      values: pairedRatio(del, against(of(SERIES.bridgeMasqDel))),
    },
    { name: `${plugin} DEL / (node + bridge DEL without)`, values: pairedRatio(del, against(of(SERIES.bridgeDel))) },
    {
      name: `${plugin} VERSION / node`,
      values: pairedRatio(of(seriesOf({ plugin, note: "" }, "VERSION")), node),
      aim: "≤ 0.9",
    },
  ];
}

function special(plugin: Plugin): Case[] {
  return CASES.filter((one) => one.plugin === plugin && one.note !== "");
}

/** Of the first build to each of the others: whatever both were measured at. Pure. */
export function buildRatios(series: Series, builds: readonly string[]): Ratio[] {
  const kinds = CASES.flatMap((one) =>
    (["VERSION", "ADD", "DEL"] as const).map(
      (verb) => [seriesOf(one, verb), (of: string) => seriesOf(one, verb, of)] as const,
    ),
  );
  return builds
    .filter((build) => build !== THIS_BUILD)
    .flatMap((build) =>
      kinds.flatMap(([name, nameOf]): Ratio[] => {
        const [these, those] = [series[name], series[nameOf(build)]];
        if (these === undefined || those === undefined) return [];
        return [{ name: `${name}: this / ${build}`, values: pairedRatio(these, those) }];
      }),
    );
}

/** Of a device with many peers. Pure. */
export function deviceRatios(series: Series): Ratio[] {
  const of = (name: string) => series[name] ?? [];
  const [full, raw] = [of(DEVICE_SERIES.full), of(DEVICE_SERIES.raw)];
  return [{ name: `${DEVICE_SERIES.full} / ${DEVICE_SERIES.raw}`, values: pairedRatio(full, raw), aim: "≤ 3" }];
}

/** Of the ways from node to node. Pure. */
export function throughputRatios(series: Series): Ratio[] {
  const of = (name: string) => series[name] ?? [];
  const pods = of(THROUGHPUT_SERIES.pods);
  return [
    { name: "pod → pod / host → host", values: pairedRatio(pods, of(THROUGHPUT_SERIES.hosts)), aim: "≥ 0.97" },
    { name: "pod → pod / without WireGuard", values: pairedRatio(pods, of(THROUGHPUT_SERIES.plain)) },
  ];
}
