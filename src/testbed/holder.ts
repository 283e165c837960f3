import { Code, Fault } from "../fault.ts";
import { readText } from "../os/file.ts";
import { patience } from "./patience.ts";
import { ENVIRONMENT } from "./place.ts";
import { Program } from "./program.ts";

/**
 * What process 1 of the new namespaces does. Until `mount -t proc` /proc is still ours, which is how it learns the pid
 * by which we know it. What the node writes below /etc, /opt and /var/lib stays in its own memory (overlay), so that
 * mount points, configurations and plugins need not be made on the machine. rp_filter is off: the kernel must not
 * close by chance the holes that podvpn has to close.
 * Then it waits for a word from us: end of file (also by our SIGKILL) ends it, and all in its namespaces with it.
 * It is bash because process 1 has to reap the node's orphans: bash does, also while it reads, and dash does not.
 * What takes its place to be kept ignores SIGCHLD: then the kernel reaps them.
 */
const INIT = `set -e
read -r pid rest </proc/self/stat
mount -n -t tmpfs -o mode=755 tmpfs /run # -n: mount(8) would else make /run/mount on the machine
mkdir -p /run/netns /run/lock
mount -t tmpfs -o mode=755 tmpfs /run/netns
mount -t tmpfs -o mode=700 tmpfs /mnt
mkdir -p /mnt/{etc,opt,var/lib,var/log}/{upper,work}
for directory in /etc /opt /var/lib /var/log; do
  layer=/mnt$directory
  mount -t overlay -o lowerdir=$directory,upperdir=$layer/upper,workdir=$layer/work overlay $directory
done
umount -l /mnt
mkdir -p /etc/cni/net.d /var/lib/cni /var/lib/podvpn
for directory in /etc/cni/net.d /var/lib/cni /var/lib/podvpn; do
  mount -t tmpfs -o mode=700 tmpfs $directory
done
mount -t proc proc /proc
mount -t sysfs sysfs /sys
cd /proc/sys/net
echo 1 >ipv4/ip_forward
echo 1 >ipv6/conf/all/forwarding
for interface in all default; do
  echo 0 >ipv4/conf/$interface/rp_filter
  echo 0 >ipv6/conf/$interface/accept_dad
  echo 0 >ipv6/conf/$interface/accept_ra
done
cd /
ip link set lo up
echo "ready $pid"
read -r word
[ "$word" = keep ]
trap "" CHLD
exec sleep infinity`;

const UNSHARE = [
  "/usr/bin/unshare",
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--kill-child",
  "--propagation",
  "private",
  "bash",
  "--norc", // which it would read where its input is a socket and SHLVL is not set: it takes itself for rshd's
  "-c",
  INIT,
] as const;

/** Nobody else sets it: a process with it is process 1 of a testbed, or unshare(1) above it. */
export const LABEL_VARIABLE = "PODVPN_TESTBED";

/** What process 1 of a kept node is. */
export const KEPT_COMMAND = "sleep\0infinity\0";

/**
 * Anonymous network, mount and pid namespaces, held open by one process. All that runs in them ends with it, and it
 * ends with us, even when we are killed.
 */
export class Holder implements AsyncDisposable {
  private constructor(
    private readonly program: Program,
    /** Process 1 of the namespaces, as we see it. */
    readonly pid: number,
  ) {}

  /**
   * @param label What it is found by when it is kept: `PODVPN_TESTBED=LABEL/NAME` in the environment of process 1.
   * @param mounts File of the mount namespace of which it gets a copy; ours unless told.
   * @throws Fault 101 when the kernel refuses, above all when we are not root.
   */
  static async create(name: string, label: string, mounts?: string): Promise<Holder> {
    const env = { ...ENVIRONMENT, [LABEL_VARIABLE]: `${label}/${name}` };
    const argv = mounts === undefined ? UNSHARE : ["/usr/bin/nsenter", `--mount=${mounts}`, "--", ...UNSHARE];
    const [file = "", ...args] = argv;
    const program = new Program(`namespaces of ${name}`, file, args, { env });
    try {
      const ready = await program.line(/^ready \d+$/, patience(10_000));
      return new Holder(program, Number(ready.slice("ready ".length)));
    } catch (cause) {
      await program.stop("SIGKILL");
      const details = program.lines.join("\n");
      throw new Fault(Code.missingPart, `no namespaces for ${name}`, "run as root, with util-linux and iproute2", {
        cause,
        details,
      });
    }
  }

  /** Lets the namespaces outlive us: from now on they end when process `pid` is killed. */
  async keep(): Promise<void> {
    await this.program.write("keep\n");
    // No event tells of an exec(2); it takes a fraction of a millisecond.
    for (const until = performance.now() + patience(5000); readText(`/proc/${this.pid}/cmdline`) !== KEPT_COMMAND; ) {
      if (performance.now() > until) {
        throw new Fault(Code.io, `process ${this.pid} does not let go of us`, "see with `ps` what it does");
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.program.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // unshare(1) ends after process 1, and that after all others in its pid namespace: then nothing is left.
    await this.program.finish();
  }
}
