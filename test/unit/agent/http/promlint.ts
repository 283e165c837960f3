// What `promtool check metrics` finds, written anew from the format's description and promlint's rules
// (github.com/prometheus/client_golang, prometheus/testutil/promlint): this must not be the code that writes.

interface Family {
  readonly name: string;
  help?: string;
  type?: string;
  readonly samples: { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s; // a carriage return is a letter like others
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];
/** Of which the base unit should be used: seconds, bytes, ratio, meters, grams, kelvin or celsius. */
const UNITS =
  /^(?:(?:milli|micro|nano)seconds|minutes|hours|days|weeks|(?:kilo|mega|giga|tera|kibi|mebi|gibi)bytes|bits|percent(?:age)?|fahrenheit|inches|miles|kilograms)$/;
const ABBREVIATIONS = new Set(["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"]);

/** Everything that is wrong with a text, one line each. */
export function promlint(text: string): string[] {
  const problems: string[] = [];
  const families = new Map<string, Family>();
  if (text !== "" && !text.endsWith("\n")) problems.push("the last line has no end");
  let current = "";
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment;
      if (name !== current && families.has(name)) problems.push(`${name}: its lines do not stand together`);
      current = name;
      const family = families.get(name) ?? { name, samples: [] };
      families.set(name, family);
      if (family.samples.length > 0) problems.push(`${name}: ${kind} after samples`);
      if (kind === "HELP") family.help = rest;
      else if (TYPES.includes(rest) && family.type === undefined) family.type = rest;
      else problems.push(`${name}: TYPE ${rest}`);
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null) {
      problems.push(`cannot be read: ${line}`);
      continue;
    }
    const [, name = "", pairs, value = ""] = sample;
    const family = families.get(current);
    const suffixes = family?.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    if (family === undefined || !suffixes.some((suffix) => name === `${current}${suffix}`)) {
      problems.push(`${name}: a sample without TYPE before it`);
      continue;
    }
    family.samples.push({ name, labels: labelsOf(pairs ?? "", problems), value: numberOf(value, problems) });
  }
  for (const family of families.values()) problems.push(...lint(family));
  return problems;
}

function labelsOf(text: string, problems: string[]): Map<string, string> {
  const labels = new Map<string, string>();
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < text.length) {
    const pair = PAIR.exec(text);
    if (pair === null) {
      problems.push(`labels cannot be read: ${text}`);
      return labels;
    }
    const [, name = "", value = ""] = pair;
    if (labels.has(name)) problems.push(`label ${name} twice: ${text}`);
    labels.set(name, value);
  }
  return labels;
}

function numberOf(text: string, problems: string[]): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  if (text !== "NaN" && !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) problems.push(`no number: ${text}`);
  return Number(text);
}

function lint({ name, help, type, samples }: Family): string[] {
  const say = (what: string) => `${name}: ${what}`;
  const problems: string[] = [];
  if (!NAME.test(name)) problems.push(say("no legal name"));
  if (help === undefined || help === "") problems.push(say("no help text"));
  if (type === undefined) problems.push(say("no type"));
  if (samples.length === 0) problems.push(say("no samples"));
  if (type === "counter" && !name.endsWith("_total")) problems.push(say("counter without _total"));
  if (type !== "counter" && name.endsWith("_total")) problems.push(say("_total, and no counter"));
  if (type !== "histogram" && /_bucket$/.test(name)) problems.push(say("_bucket, and no histogram"));
  if (!["histogram", "summary"].includes(type ?? "") && /_(?:count|sum)$/.test(name))
    problems.push(say("_count or _sum"));
  if (name.includes(":")) problems.push(say("a colon"));
  const words = name.split("_");
  if (words.some((word) => TYPES.includes(word))) problems.push(say("its type in its name"));
  if (words.some((word) => UNITS.test(word))) problems.push(say("no base unit"));
  if (words.some((word) => ABBREVIATIONS.has(word))) problems.push(say("an abbreviated unit"));
  if (/[a-z][A-Z]/.test(name)) problems.push(say("camelCase"));
  const seen = new Set<string>();
  for (const sample of samples) {
    for (const label of sample.labels.keys()) {
      if (!LABEL.test(label) || label.startsWith("__") || /[a-z][A-Z]/.test(label))
        problems.push(say(`label ${label}`));
      if (label === "le" && type !== "histogram") problems.push(say("label le"));
      if (label === "quantile" && type !== "summary") problems.push(say("label quantile"));
    }
    const key = JSON.stringify([sample.name, [...sample.labels].sort()]);
    if (seen.has(key)) problems.push(say(`twice: ${key}`));
    seen.add(key);
    if (type === "counter" && !(sample.value >= 0)) problems.push(say(`counter is ${sample.value}`));
  }
  if (type === "histogram") problems.push(...lintHistogram(name, samples).map(say));
  return problems;
}

function lintHistogram(name: string, samples: Family["samples"]): string[] {
  const groups = Map.groupBy(samples, ({ labels }) => JSON.stringify([...labels].filter(([label]) => label !== "le")));
  return [...groups.values()].flatMap((group) => {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => numberOf(labels.get("le") ?? "none", []));
    const counts = buckets.map(({ value }) => value);
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    const problems: string[] = [];
    if (bounds.some((bound, index) => !(bound > (bounds[index - 1] ?? Number.NEGATIVE_INFINITY))))
      problems.push("bounds");
    if (counts.some((value, index) => value < (counts[index - 1] ?? 0))) problems.push("buckets do not grow");
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY || counts.at(-1) !== count) problems.push("+Inf is not the count");
    if (!group.some((sample) => sample.name === `${name}_sum`)) problems.push("no sum");
    return problems;
  });
}
