import type { JsonObject } from "../../../src/cni/json.ts";
import type { Place } from "../../../src/testbed/place.ts";
import type { Attached } from "../support/attached.ts";
import { linkOf, linksOf } from "../support/links.ts";
import { requireSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { added, interfaceOf, listed, textOf } from "../support/result.ts";
import type { Subject } from "../support/subject.ts";
import { atLeast, FIRST_VERSION } from "../support/versions.ts";
import { canonical, must, mustBeSame } from "../support/violation.ts";
import { requireForm } from "./form.ts";

/** Section 5, "ADD Success". */
export const results = requirements(
  "Section 5: ADD Success",
  [
    {
      id: "result/each-version",
      level: "MUST",
      since: "0.1.0",
      title:
        "in each supported version: cniVersion is that of the input, each field is known to it; CHECK and DEL work",
      run: async (subject) => {
        // A chain began with 0.3.0, with prevResult.
        const versions = (await subject.supportedVersions()).filter((one) => !subject.chained || atLeast(one, "0.3.0"));
        for (const version of versions) {
          await using attached = await subject.attached({ version });
          requireForm(await attached.added({ title: `ADD in ${version}` }), version);
          if (atLeast(version, FIRST_VERSION.CHECK)) requireSuccess(await attached.check());
          requireSuccess(await attached.del({ title: `DEL in ${version}` }));
        }
      },
    },
    {
      id: "result/interfaces",
      level: "MUST",
      title: "each interface exists: in the sandbox, which is CNI_NETNS, or on the node; with its hardware address",
      run: async (subject) => {
        const attached = await subject.shared();
        const { result = {} } = attached;
        const { interfaces } = listed(result);
        const own = interfaces.find(({ name, sandbox }) => name === attached.ifname && sandbox !== undefined);
        mustBeSame(own?.sandbox, attached.pod.netnsPath, `sandbox of ${attached.ifname} in ${canonical(result)}`);
        for (const item of interfaces) await requireLink(subject, attached, item);
      },
    },
    {
      id: "result/all-interfaces",
      level: "MUST",
      title: "each interface that is new in the container or on the node is listed",
      run: async (subject) => {
        await subject.warmUp();
        await using attached = await subject.attached();
        const places: readonly [Place, string][] = [
          [subject.node, ""],
          [attached.pod, attached.pod.netnsPath],
        ];
        const links = () =>
          Promise.all(places.map(async ([place]) => (await linksOf(place)).map(({ ifname }) => ifname)));
        const before = await links();
        const { interfaces } = listed(await attached.added());
        const after = await links();
        for (const [index, [, sandbox]] of places.entries()) {
          const listedHere = interfaces.filter((item) => (item.sandbox ?? "") === sandbox).map(({ name }) => name);
          const made = (after[index] ?? []).filter((name) => !(before[index] ?? []).includes(name));
          const missing = made.filter((name) => !listedHere.includes(name));
          mustBeSame(missing, [], `new interfaces that the result does not list, in ${sandbox || "the node"}`);
        }
      },
    },
    {
      id: "result/ips",
      level: "MUST",
      title: "each address is on the interface that its index names, with its prefix length",
      run: async (subject) => {
        const attached = await subject.shared();
        const { result = {} } = attached;
        for (const ip of added(attached.before, result).ips) {
          const item = interfaceOf(result, ip);
          must(item !== undefined, `an address should name its interface: ${canonical(ip)}`);
          const { stdout } = await placeOf(subject, attached, item).exec([
            "ip",
            "-o",
            "address",
            "show",
            "dev",
            textOf(item, "name"),
          ]);
          must(stdout.includes(` ${textOf(ip, "address")} `), `${canonical(ip)} should be there: ${stdout}`);
        }
      },
    },
    {
      id: "result/routes",
      level: "MUST",
      title: "each route is in the container's tables",
      run: async (subject) => {
        const attached = await subject.shared();
        const { result = {} } = attached;
        for (const route of added(attached.before, result).routes) {
          const dst = textOf(route, "dst");
          const shown = ["ip", dst.includes(":") ? "-6" : "-4", "route", "show", "table", "all", "exact", dst] as const;
          const { stdout } = await attached.pod.exec(shown);
          must(stdout.trim() !== "", `there should be a route to ${dst}`);
        }
      },
    },
  ],
  "0.3.0",
);

/** Section 5 and section 2, "ADD", of a plugin that is given a `prevResult`. */
export const chained = requirements(
  "Section 5: ADD Success, prevResult",
  [
    {
      id: "chained/passes-through",
      level: "MUST",
      scope: "chained",
      title: "the result has all of prevResult: each interface at its index, each address, each route, dns",
      run: async (subject) => {
        const attached = await subject.shared();
        const { before = {} } = attached;
        const { result = {} } = attached;
        const [old, now] = [listed(before), listed(result)];
        for (const [index, item] of old.interfaces.entries()) {
          mustBeSame(now.interfaces[index]?.name, item.name, `the name of interface ${index}`);
          mustBeSame(now.interfaces[index]?.sandbox, item.sandbox, `the sandbox of interface ${index}`);
        }
        for (const kind of ["ips", "routes"] as const) {
          const lost = old[kind].filter((item) => !now[kind].map(canonical).includes(canonical(item)));
          mustBeSame(lost, [], `what the result lacks of the ${kind} of prevResult`);
        }
        mustBeSame(result.dns ?? {}, before.dns ?? {}, "dns");
      },
    },
    {
      id: "chained/equivalent",
      level: "MUST",
      scope: "chained",
      title: "a plugin that makes nothing which a result lists gives prevResult as it was",
      run: async (subject) => {
        const attached = await subject.shared();
        const { result = {} } = attached;
        const made = Object.values(added(attached.before, result)).some((list) => list.length > 0);
        if (subject.profile.makes !== undefined)
          mustBeSame(made, subject.profile.makes.length > 0, "making of anything");
        if (!made) mustBeSame(withoutEmpty(result), withoutEmpty(attached.before ?? {}), "the result");
      },
    },
    {
      id: "chained/foreign-entries",
      level: "MUST",
      scope: "chained",
      title: "interfaces and routes of plugins that it does not know stay in the result",
      run: async (subject) => {
        await using attached = await subject.attached();
        const { before = {} } = attached;
        const { interfaces, routes } = listed(before);
        const stranger = { name: "stranger0", mac: "02:00:00:00:00:77", sandbox: attached.pod.netnsPath };
        const route = { dst: "203.0.113.0/24" };
        const prevResult = { ...before, interfaces: [...interfaces, stranger], routes: [...routes, route] };
        const result = listed(await attached.added({ conf: { prevResult }, title: "ADD behind a stranger" }));
        mustBeSame(result.interfaces[interfaces.length], stranger, "the stranger's interface");
        must(result.routes.map(canonical).includes(canonical(route)), `its route should stay: ${canonical(result)}`);
      },
    },
  ],
  "0.3.0",
);

async function requireLink(subject: Subject, attached: Attached, item: JsonObject): Promise<void> {
  const name = textOf(item, "name");
  const link = await linkOf(placeOf(subject, attached, item), name);
  must(link !== undefined, `there should be an interface ${name}: ${canonical(item)}`);
  if (item.mac !== undefined) mustBeSame(textOf(item, "mac").toLowerCase(), link.address, `mac of ${name}`);
  if (item.mtu !== undefined) mustBeSame(item.mtu, link.mtu, `mtu of ${name}`);
}

/** Where an interface of a result is. @throws Violation for a sandbox that is not the container. */
function placeOf(subject: Subject, attached: Attached, item: JsonObject): Place {
  const sandbox = item.sandbox ?? "";
  if (sandbox === "") return subject.node;
  mustBeSame(sandbox, attached.pod.netnsPath, `sandbox in ${canonical(item)}`);
  return attached.pod;
}

/** Absent and empty are the same. */
function withoutEmpty(result: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(result).filter(([, value]) => canonical(value) !== "[]" && canonical(value) !== "{}"),
  );
}
