// Debian's kernel, unpacked beside the system: not installed, and fetched once for all checkouts.
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "../cache.mjs";
import { Failure, run } from "../run.mjs";

/** The package that always depends on the current kernel. */
const META = "linux-image-amd64";

/**
 * The newest kernel of the cache; the current one of Debian when there is none.
 * @returns {Promise<{ release: string, image: string, modules: string }>} What `uname -r` says; the kernel as ELF; its
 *   directory of modules, indexed.
 */
export async function kernel() {
  const cache = cacheDirectory("kernel");
  const cached = () => readdirSync(cache).filter((name) => /^\d/.test(name));
  if (cached().length === 0) await fetchKernel(cache);
  const release = cached()
    .sort((one, other) => one.localeCompare(other, "en", { numeric: true }))
    .at(-1);
  const directory = join(cache, release);
  return { release, image: join(directory, "vmlinux"), modules: join(directory, "lib/modules", release) };
}

async function fetchKernel(cache) {
  console.log("Fetching Debian's kernel for the lab (70 MB, once):");
  const aside = mkdtempSync(join(cache, ".fetch-"));
  try {
    const name = await currentPackage();
    await shell(aside, `apt-get -q download ${name} && dpkg -x ./*.deb . && rm ./*.deb`);
    const [release] = readdirSync(join(aside, "lib/modules"));
    // As it is booted soonest: unpacked, by the entry for virtual machines (PVH), which the packed image does not have.
    writeFileSync(join(aside, "payload.xz"), payload(readFileSync(join(aside, "boot", `vmlinuz-${release}`))));
    await shell(aside, "xz --decompress --stdout --single-stream payload.xz >vmlinux; [ -s vmlinux ] && rm payload.xz");
    await shell(aside, `busybox depmod -b . ${release}`);
    if (!existsSync(join(cache, release))) renameSync(aside, join(cache, release));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** What {@link META} depends on, such as linux-image-6.1.0-56-amd64. */
async function currentPackage() {
  const depends = async () => (await run("apt-cache", ["depends", META], { capture: true })).output;
  const found = async () => /Depends: (linux-image-\S+)/.exec(await depends())?.[1];
  let name = await found();
  if (name === undefined) {
    await shell("/", "apt-get -q update");
    name = await found();
  }
  if (name === undefined) throw new Failure(`apt knows no ${META}: use Debian, and mind /etc/apt/sources.list.`);
  return name;
}

/** The compressed kernel in a bzImage: Debian's is xz, whose magic number is found once. */
function payload(image) {
  const start = image.indexOf(Buffer.from("fd377a585a00", "hex"));
  if (start < 0) throw new Failure("The kernel is not compressed by xz: scripts/lab/kernel.mjs has to learn it.");
  return image.subarray(start);
}

async function shell(directory, script) {
  const { code, output } = await run("sh", ["-ec", `cd "$0"; ${script}`, directory], { capture: true });
  if (code !== 0) throw new Failure(`The lab's kernel could not be prepared (${script}):\n${output.trimEnd()}`);
}
