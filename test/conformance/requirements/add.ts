import { linkOf } from "../support/links.ts";
import { requireError, requireSuccess } from "../support/outcome.ts";
import { requirements } from "../support/requirement.ts";
import { added, listed } from "../support/result.ts";
import { must, mustBeSame } from "../support/violation.ts";

/** Section 2, "ADD". */
export const add = requirements("Section 2: ADD", [
  {
    id: "add/interface",
    level: "MUST",
    scope: "interface",
    title: "makes the interface CNI_IFNAME in the container, whatever its name",
    run: async (subject) => {
      for (const ifname of ["eth0", "net1", "a-15-byte.name0"]) {
        await using attached = await subject.attached({ ifname });
        await attached.added({ title: `ADD of ${ifname}` });
        must((await linkOf(attached.pod, ifname)) !== undefined, `there should be an interface ${ifname}`);
      }
    },
  },
  {
    id: "add/adjusts",
    level: "MUST",
    scope: "chained",
    title: "adjusts the container's interface CNI_IFNAME, and leaves it where it is",
    run: async (subject) => {
      for (const ifname of ["eth0", "net1"]) {
        await using attached = await subject.attached({ ifname });
        const index = async () => (await linkOf(attached.pod, ifname))?.ifindex;
        const before = await index();
        await attached.added({ title: `ADD of ${ifname}` });
        mustBeSame(await index(), before, "the index of the interface");
      }
    },
  },
  {
    id: "add/name-taken",
    level: "MUST",
    scope: "interface",
    title: "an interface of that name in the container gives an error, and stays as it is",
    run: async (subject) => {
      await using attached = await subject.attached();
      await attached.pod.exec(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
      await attached.pod.exec(["ip", "address", "add", "192.0.2.1/24", "dev", "eth0"]);
      const state = async () => (await attached.pod.exec(["ip", "-o", "address", "show", "dev", "eth0"])).stdout;
      const before = await state();
      requireError(await attached.add({ title: "ADD of a name that is taken" }));
      mustBeSame(await state(), before, "the interface that was there");
    },
  },
  {
    id: "add/twice",
    level: "MUST",
    scope: "interface",
    title: "a second ADD without a DEL gives an error, and the first one's interface and addresses stay",
    run: async (subject) => {
      await using attached = await subject.attached();
      const { ips } = listed(await attached.added());
      requireError(await attached.call("ADD", { title: "a second ADD" }));
      const { stdout } = await attached.pod.exec(["ip", "-o", "address", "show", "dev", "eth0"]);
      for (const { address } of ips)
        must(stdout.includes(String(address)), `${address} should stay on eth0: ${stdout}`);
    },
  },
  {
    id: "add/second-interface",
    level: "MUST",
    title: "a container may be added twice under different names; DEL of one leaves the other",
    run: async (subject) => {
      await using first = await subject.attached();
      const result = await first.added();
      await using second = await subject.attached({ in: first, ifname: "net1" });
      await second.added({ title: "ADD of a second interface" });
      requireSuccess(await second.del());
      const { stdout } = await first.pod.exec(["ip", "-o", "address"]);
      for (const { address } of added(first.before, result).ips) {
        must(stdout.includes(String(address)), `${address} should stay in the container: ${stdout}`);
      }
    },
  },
  {
    id: "add/status-not-called",
    level: "MUST",
    title: "works on a node where nothing else was called before, side by side for several containers (section 3)",
    run: async (subject) => {
      const attached = await Promise.all([1, 2, 3, 4].map(() => subject.attached()));
      try {
        const results = await Promise.all(attached.map((one) => one.added({ title: "ADD beside three others" })));
        const addresses = results.flatMap((result) => listed(result).ips.map(({ address }) => address));
        must(new Set(addresses).size === addresses.length, `each address once: ${addresses.join(", ")}`);
        const ends = await Promise.all(attached.map((one) => one.del({ title: "DEL beside three others" })));
        for (const end of ends) requireSuccess(end);
      } finally {
        await Promise.all(attached.map((one) => one[Symbol.asyncDispose]()));
      }
    },
  },
  {
    id: "add/configuration",
    level: "form",
    title: "takes what a runtime may put into the configuration: runtimeConfig, args, and 200 KiB of it in pieces",
    run: async (subject) => {
      await using attached = await subject.attached();
      const conf = { runtimeConfig: {}, args: { labels: { filling: "x".repeat(200 * 1024) } } };
      await attached.added({ conf, title: "ADD of a large configuration" });
      requireSuccess(await attached.del({ conf, title: "DEL of a large configuration" }));
    },
  },
  {
    id: "add/dns",
    level: "SHOULD",
    title: "the dns of the configuration (section 1), where the plugin uses it, is the dns of the result",
    run: async (subject) => {
      const dns = { nameservers: ["192.0.2.53"], domain: "a.example", search: ["b.example"], options: ["ndots:2"] };
      await using attached = await subject.attached();
      const result = await attached.added({ conf: { dns } });
      const before = attached.before?.dns ?? {};
      const passed = JSON.stringify(result.dns ?? {}) === JSON.stringify(before);
      if (!passed) mustBeSame(result.dns, dns, "dns of the result");
    },
  },
]);
