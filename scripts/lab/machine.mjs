// A virtual machine in a directory of the host: its console's log, the socket of its jobs, and `share`, its /lab.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Failure, root } from "../run.mjs";
import { writeInitramfs } from "./initramfs.mjs";
import { kernel } from "./kernel.mjs";
import { filesInMemory } from "./memory.mjs";
import { noteDist, renewDist } from "./renew.mjs";

/** Milliseconds until the guest takes jobs: 5 s on an idle machine. */
const BOOT = 120_000;

/** How much longer than on the machine itself things may take in there: bounds of tests are multiplied by it. */
export const SLOWNESS = 10;

/**
 * A simple processor, as each feature of a newer one costs time where it is emulated (five levels of page tables, its
 * large state, protection of the user's pages), with the instructions for ciphers and random numbers.
 */
const CPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdrand,+fsgsbase";

/** What the guest's kernel need not do. */
const KERNEL = [
  ...["console=ttyS0", "quiet", "panic=-1"],
  ...["mitigations=off", "init_on_alloc=0", "audit=0", "selinux=0", "apparmor=0", "nowatchdog", "cryptomgr.notests=1"],
  // Not the processor's own, whose speed the kernel measures at its start: wrong by half when the host is busy then.
  "clocksource=hpet",
  ...["no_timer_check", "random.trust_cpu=on", "rcupdate.rcu_expedited=1"],
  // Each program at the same place each time: what was translated for one is there for the next.
  ...["nokaslr", "norandmaps"],
];

/** How to reach a machine's files, for whoever boots it or uses it. */
export const files = (directory) => ({
  console: join(directory, "console.log"),
  jobs: join(directory, "jobs.sock"),
  share: join(directory, "share"),
});

/**
 * Boots a machine, which ends with us, also when we are killed.
 * @param {string} directory An empty one. @param {AbortSignal} [signal] Ends the waiting.
 * @returns {Promise<{ ended: Promise<string>, kill(): void }>}
 * @throws {Failure} With the last lines of its console when it does not come up.
 */
export async function boot(directory, signal) {
  const { console: log, jobs, share } = files(directory);
  const { image, modules } = await kernel();
  mkdirSync(share, { recursive: true });
  noteDist(share);
  const initramfs = join(directory, "initramfs");
  writeInitramfs(initramfs, modules, await filesInMemory());
  copyFileSync(fileURLToPath(new URL("guest.sh", import.meta.url)), join(share, "guest.sh"));
  symlinkSync(join(root, "node_modules"), join(share, "node_modules")); // for what is not in a bundle
  writeFileSync(join(share, "settings"), `ROOT='${root}'\nMODULES='${modules}'\nSLOWNESS=${SLOWNESS}\n`);
  const qemu = [
    ...["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "2", "-m", "4096"],
    ...["-nodefaults", "-no-user-config", "-nographic", "-no-reboot"],
    ...["-kernel", image, "-initrd", initramfs],
    ...["-append", KERNEL.join(" "), "-serial", `file:${log}`],
    ...["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"],
    ...["-virtfs", `local,path=${share},mount_tag=lab,security_model=none`],
    ...["-device", "virtio-serial-pci", "-chardev", `socket,id=jobs,path=${jobs},server=on,wait=off`],
    ...["-device", "virtserialport,chardev=jobs,name=podvpn.jobs"],
  ];
  // A process group of its own: Ctrl-C is for us, who end it. The signal at our death is for when we are killed.
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...qemu], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  let end;
  const ended = new Promise((resolve) => {
    const finish = (how) => {
      end = how;
      resolve(how);
    };
    child.once("error", (error) => finish(error.message));
    child.once("close", (code, signal) => finish(signal ?? `exit status ${code}`));
  });
  const machine = { ended, kill: () => child.kill("SIGKILL") };
  for (const until = Date.now() + BOOT; !consoleText(directory).includes("ready for jobs"); await delay(50)) {
    if (end === undefined && Date.now() < until && !signal?.aborted) continue;
    machine.kill();
    if (signal?.aborted) throw new Failure("interrupted");
    const how = end === undefined ? `was not ready within ${BOOT / 1000} s` : `ended (${end})`;
    throw new Failure(`The lab's machine ${how}. ${said}Its console:\n${consoleTail(directory)}`);
  }
  rmSync(initramfs); // some hundred megabytes
  return machine;
}

const consoleText = (directory) => {
  const { console: log } = files(directory);
  return existsSync(log) ? readFileSync(log, "latin1") : "";
};

/** The last lines of the machine's console. */
export const consoleTail = (directory, lines = 30) =>
  consoleText(directory).trimEnd().split("\n").slice(-lines).join("\n");

let jobsMade = 0;

/**
 * Has a machine run a script of bash in the checkout, after those that others have asked for.
 * @param {string} directory The machine's.
 * @param {object} options `script` of bash, or what makes it of the job's directory as the guest sees it; `prepare` and
 *   `collect` are given that directory as we see it, before and after; `timeout` in milliseconds; `onOutput` takes what
 *   it writes, as it comes; `signal` ends the waiting.
 * @returns {Promise<number>} Its exit status. @throws {Failure} When there is none.
 */
export async function runJob(directory, { script, timeout, onOutput, signal, prepare, collect }) {
  const { jobs, share } = files(directory);
  if (!existsSync(jobs)) throw new Failure(`There is no machine in ${directory}: start one with --serve.`);
  jobsMade += 1;
  const name = `${process.pid}-${jobsMade}`;
  mkdirSync(join(share, name));
  try {
    await prepare?.(join(share, name));
    const seenAs = `/lab/${name}`;
    writeFileSync(join(share, name, "job.sh"), renewDist(share, join(share, name), seenAs) + script(seenAs));
    const code = await exchange(jobs, name, { timeout, onOutput, signal });
    await collect?.(join(share, name));
    return code;
  } finally {
    rmSync(join(share, name), { recursive: true, force: true });
  }
}

function exchange(path, name, { timeout, onOutput, signal }) {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let state = "waiting";
    let rest = "";
    const settle = (action) => {
      state = "done";
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupt);
      socket.destroy();
      action();
    };
    const fail = (what) => {
      if (state === "running") onOutput(`${rest}\n`);
      settle(() => reject(new Failure(what)));
    };
    const interrupt = () => fail("interrupted");
    const timer = setTimeout(() => fail(`not done within ${Math.round(timeout / 1000)} s`), timeout);
    signal?.addEventListener("abort", interrupt);
    if (signal?.aborted) interrupt();
    socket.on("connect", () => socket.write(`${name}\n`));
    socket.on("error", (error) => fail(`the machine cannot be reached (${error.message})`));
    socket.on("close", () => fail("the machine has ended"));
    socket.setEncoding("utf8").on("data", (text) => {
      if (state === "done") return;
      rest += text;
      const begin = `\n\u0001begin ${name}\n`;
      if (state === "waiting") {
        const at = rest.indexOf(begin);
        if (at < 0) return;
        rest = rest.slice(at + begin.length);
        state = "running";
      }
      const found = new RegExp(`\\n\\u0001end ${name} (\\d+)\\n`).exec(rest);
      if (found !== null) {
        onOutput(rest.slice(0, found.index));
        settle(() => resolve(Number(found[1])));
        return;
      }
      // What may be the beginning of the end is kept until more is known.
      const at = rest.lastIndexOf("\n");
      const mayEnd =
        at >= 0 && `\n\u0001end ${name} `.startsWith(rest.slice(at, at + 7 + name.length)) ? at : rest.length;
      onOutput(rest.slice(0, mayEnd));
      rest = rest.slice(mayEnd);
    });
  });
}
