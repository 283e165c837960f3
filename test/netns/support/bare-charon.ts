import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, watch, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type Vici, ViciError } from "vici";
import { patience } from "../../../src/testbed/patience.ts";

/** Milliseconds that a charon is given to answer; it takes ten. */
const START = patience(20_000);

/**
 * A charon in a network namespace of its own, with a directory of its own, for the tests of the package `vici`: it uses
 * nothing of podvpn's. Dies with the test, however that ends.
 */
export class BareCharon implements AsyncDisposable {
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(directory: string, child: ChildProcess) {
    this.#directory = directory;
    this.#child = child;
  }

  /** @param setup Shell commands run in the namespace before charon starts; `lo` is up. */
  static async start(setup = ":"): Promise<BareCharon> {
    const directory = await mkdtemp(join(tmpdir(), "vici-charon-"));
    const run = join(directory, "run");
    await mkdir(run);
    const configuration = join(directory, "strongswan.conf");
    await writeFile(configuration, strongswanConf(directory));
    const script = `ip link set lo up && { ${setup}\n} && exec /usr/sbin/charon-systemd`;
    const child = spawn("unshare", ["--net", "setpriv", "--pdeathsig", "KILL", "sh", "-ec", script], {
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", STRONGSWAN_CONF: configuration },
      stdio: "ignore",
    });
    const charon = new BareCharon(directory, child);
    try {
      await appeared(run, "vici", charon.ended());
      return charon;
    } catch (error) {
      await charon[Symbol.asyncDispose]();
      throw error;
    }
  }

  get path(): string {
    return join(this.#directory, "run", "vici");
  }

  /** For `ip link set … netns`. */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("charon was not started");
    return this.#child.pid;
  }

  /** The socket's name appears at bind(2), an instant before listen(2): until then the kernel refuses. */
  async connect(): Promise<Vici> {
    for (const until = performance.now() + START; ; ) {
      try {
        return await connect({ path: this.path });
      } catch (error) {
        if (!(error instanceof ViciError && error.code === "ECONNREFUSED") || performance.now() > until) throw error;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  /** Without a word to its clients. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Runs shell commands in charon's network namespace. */
  async run(script: string): Promise<void> {
    const child = spawn("nsenter", [`--net=/proc/${this.pid}/ns/net`, "sh", "-ec", script], { stdio: "inherit" });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${script}: exit status ${code}`);
  }

  async ended(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended();
    await rm(this.#directory, { recursive: true });
  }
}

/** The slim charon of a pod: user-space ESP, ports of the kernel's choice unless it is a hub's. */
function strongswanConf(directory: string): string {
  return `charon-systemd {
  load = random nonce aes gcm sha2 sha1 hmac kdf curve25519 kernel-libipsec kernel-netlink socket-default vici
  threads = 16
  retransmit_timeout = 0.5
  retransmit_base = 1.8
  retransmit_tries = 4
  journal { default = -1 }
  filelog { f { path = ${directory}/charon.log  default = 1  flush_line = yes } }
  plugins { vici { socket = unix://${directory}/run/vici } }
}
`;
}

/** Waits until `name` is in `directory`. @throws when charon ends first, or it takes too long. */
async function appeared(directory: string, name: string, ended: Promise<void>): Promise<void> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new Error(`charon made no ${name} within ${START} ms`)), START);
  void ended.then(() => stop.abort(new Error("charon ended at its start")));
  try {
    const changes = watch(directory, { signal: stop.signal });
    if ((await readdir(directory)).includes(name)) return;
    for await (const { filename } of changes) if (filename === name) return;
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}
